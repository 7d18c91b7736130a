-- Makes one database of a PostgreSQL 15 answer as a Redshift does, to the statements that a catalogue reader sends.
--
-- Everything lives in the schema redshift_facade, which stands in front of pg_catalog in the database's search path and is hidden
-- from its own pg_namespace. System catalogues stay as they are. Statements that say `pg_catalog.` reach the facade through
-- proxy.py, which also mends the few forms that PostgreSQL cannot parse.
--
-- What no PostgreSQL object carries by itself is put into a setting that it does carry, so that a plain CREATE TABLE says it all:
--   distribution style   fillfactor: 91 KEY, 98 ALL, otherwise EVEN
--   column properties    statistics target: 5000 distribution key + 50 * (place in the sort key) + encoding number
-- Creation times and row counts are in redshift_facade.table_facts: a table without rows is not in svv_table_info, as there.

CREATE SCHEMA redshift_facade;
SET search_path = redshift_facade, pg_catalog;

-- Storage ---------------------------------------------------------------------------------------------------------------

CREATE TABLE table_facts (
    relid oid PRIMARY KEY,
    create_time timestamp NOT NULL,
    row_count bigint NOT NULL CHECK (row_count > 0)
);

-- Views without schema binding: they are ordinary views here, whose columns the facade moves elsewhere.
CREATE TABLE late_binding_views (relid oid PRIMARY KEY);

CREATE TABLE external_schema_options (schema_name name PRIMARY KEY, database_name text NOT NULL, options text NOT NULL DEFAULT '{}');

CREATE TABLE external_table_facts (
    schema_name name NOT NULL REFERENCES external_schema_options,
    table_name text NOT NULL,
    location text NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);

CREATE TABLE external_column_facts (
    schema_name name NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    hive_type text NOT NULL,
    place int NOT NULL,
    partition_place int NOT NULL DEFAULT 0,
    PRIMARY KEY (schema_name, table_name, place),
    FOREIGN KEY (schema_name, table_name) REFERENCES external_table_facts
);

-- Types that PostgreSQL does not have: texts under another name -------------------------------------------------------------

DO $types$
DECLARE
    type_name text;
BEGIN
    FOREACH type_name IN ARRAY '{super,geometry,geography,hllsketch}'::text[] LOOP
        EXECUTE format('CREATE TYPE %I', type_name);
        EXECUTE format('CREATE FUNCTION %I(cstring) RETURNS %I LANGUAGE internal IMMUTABLE STRICT AS ''textin''', type_name || '_in', type_name);
        EXECUTE format('CREATE FUNCTION %I(%I) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS ''textout''', type_name || '_out', type_name);
        EXECUTE format('CREATE TYPE %I (INPUT = %I, OUTPUT = %I, LIKE = text)', type_name, type_name || '_in', type_name || '_out');
    END LOOP;
END
$types$;

-- Functions -----------------------------------------------------------------------------------------------------------------

CREATE FUNCTION version() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT 'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.99999'::text $$;

CREATE FUNCTION current_schema() RETURNS name LANGUAGE sql STABLE AS $$ SELECT 'public'::name $$;

CREATE FUNCTION format_encoding(code integer) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE code WHEN 1 THEN 'bytedict' WHEN 2 THEN 'delta' WHEN 5 THEN 'runlength' WHEN 10 THEN 'lzo' WHEN 16 THEN 'zstd' WHEN 17 THEN 'az64' ELSE 'none' END $$;

CREATE FUNCTION pg_get_viewdef(view oid, pretty boolean) RETURNS text LANGUAGE sql STABLE AS
$$
    SELECT CASE WHEN EXISTS (SELECT FROM redshift_facade.late_binding_views l WHERE l.relid = $1)
           THEN rtrim(pg_catalog.pg_get_viewdef($1, $2), ';') || E'\n with no schema binding;'
           ELSE pg_catalog.pg_get_viewdef($1, $2) END
$$;

-- Catalogues as of PostgreSQL 8.0, without what came later, and with Redshift's additions -----------------------------------------------------------------

-- `schema`: Redshift lets WHERE use a name that the SELECT list gives, and its readers write `nspname AS "schema" ... AND schema = 'x'`.
CREATE VIEW pg_namespace AS
SELECT n.oid, n.nspname, n.nspowner, n.nspacl, n.nspname AS schema
FROM pg_catalog.pg_namespace n
WHERE n.nspname <> 'redshift_facade';

-- relkind is a text: PostgreSQL 15 makes no UNION of "char" and a literal that a subquery has settled as text.
CREATE VIEW pg_class AS
SELECT c.oid, c.relname, c.relnamespace, c.reltype, c.relowner, c.relam, c.relfilenode, c.reltablespace, c.relpages, c.reltuples,
       c.reltoastrelid, c.relhasindex, c.relisshared, c.relkind::text, c.relnatts, c.relchecks, c.relhasrules, c.relacl,
       (CASE WHEN c.reloptions @> '{fillfactor=91}' THEN 1 WHEN c.reloptions @> '{fillfactor=98}' THEN 8 ELSE 0 END)::smallint AS reldiststyle
FROM pg_catalog.pg_class c;

CREATE VIEW pg_attribute AS
SELECT a.attrelid, a.attname, a.atttypid, a.attstattarget, a.attlen, a.attnum, a.attndims, a.attcacheoff, a.atttypmod, a.attbyval,
       a.attstorage, a.attalign, a.attnotnull, a.atthasdef, a.attisdropped, a.attislocal, a.attinhcount,
       (CASE WHEN a.attstattarget > 0 THEN a.attstattarget % 50 ELSE 0 END)::smallint AS attencodingtype,
       a.attstattarget >= 5000 AS attisdistkey,
       (CASE WHEN a.attstattarget > 0 THEN a.attstattarget % 5000 / 50 ELSE 0 END)::smallint AS attsortkeyord
FROM pg_catalog.pg_attribute a
WHERE NOT EXISTS (SELECT FROM late_binding_views l WHERE l.relid = a.attrelid);

CREATE VIEW pg_attrdef AS
SELECT d.oid, d.adrelid, d.adnum, d.adbin, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS adsrc
FROM pg_catalog.pg_attrdef d;

CREATE VIEW pg_proc_info AS
SELECT p.oid AS prooid, p.proname, p.pronamespace, p.proowner, p.prolang, p.proretset, p.prosrc, p.prokind, p.proargtypes
FROM pg_catalog.pg_proc p;

-- Stands for pg_get_late_binding_view_cols(), whose rows have no name that WHERE could use.
CREATE VIEW late_binding_view_columns AS
SELECT n.nspname AS view_schema, c.relname AS view_name, a.attname AS col_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod)::varchar AS col_type, a.attnum::int AS col_num, n.nspname AS schema
FROM late_binding_views l
JOIN pg_catalog.pg_class c ON c.oid = l.relid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped;

-- Redshift's own views ------------------------------------------------------------------------------------------------------------

CREATE VIEW svv_table_info AS
SELECT pg_catalog.current_database()::text AS database,
       n.nspname::text AS schema,
       c.oid AS table_id,
       c.relname::text AS "table",
       'Y'::text AS encoded,
       CASE c.reldiststyle WHEN 8 THEN 'ALL' WHEN 1 THEN 'KEY(' || dist.attname || ')' ELSE 'EVEN' END AS diststyle,
       sort.attname::text AS sortkey1,
       (1 + f.row_count / 1000) AS size,
       f.row_count::numeric AS tbl_rows,
       f.create_time
FROM table_facts f
JOIN pg_class c ON c.oid = f.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute dist ON dist.attrelid = c.oid AND dist.attisdistkey
LEFT JOIN pg_attribute sort ON sort.attrelid = c.oid AND sort.attsortkeyord = 1;

CREATE VIEW svv_external_schemas AS
SELECT n.oid AS esoid, 1::smallint AS eskind, n.nspname AS schemaname, n.nspowner AS esowner, o.database_name AS databasename,
       o.options AS esoptions, n.nspname AS schema
FROM external_schema_options o
JOIN pg_namespace n ON n.nspname = o.schema_name;

CREATE VIEW svv_external_tables AS
SELECT pg_catalog.current_database()::text AS redshift_database_name, t.schema_name::text AS schemaname, t.table_name AS tablename,
       'EXTERNAL'::text AS tabletype, t.location,
       'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'::text AS input_format,
       'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'::text AS output_format,
       'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'::text AS serialization_lib,
       '{}'::text AS serde_parameters, 0 AS compressed, '{}'::text AS parameters
FROM external_table_facts t;

CREATE VIEW svv_external_columns AS
SELECT pg_catalog.current_database()::text AS redshift_database_name, c.schema_name::text AS schemaname, c.table_name AS tablename,
       c.column_name AS columnname, c.hive_type AS external_type, c.place AS columnnum, c.partition_place AS part_key,
       'true'::text AS is_nullable
FROM external_column_facts c;

CREATE VIEW svv_all_schemas AS
SELECT pg_catalog.current_database()::text AS database_name, n.nspname::text AS schema_name, n.nspowner AS schema_owner,
       CASE WHEN o.schema_name IS NULL THEN 'local' ELSE 'external' END AS schema_type,
       NULL::text AS schema_acl, NULL::text AS source_database, NULL::text AS schema_option
FROM pg_namespace n
LEFT JOIN external_schema_options o ON o.schema_name = n.nspname
WHERE n.nspname !~ '^pg_';

CREATE VIEW svv_redshift_databases AS
SELECT d.datname::text AS database_name, d.datdba AS database_owner, 'local'::text AS database_type, NULL::text AS database_acl,
       NULL::text AS database_options
FROM pg_catalog.pg_database d
WHERE NOT d.datistemplate;

-- Databases of other clusters: none.
CREATE TABLE svv_all_tables (
    database_name text, schema_name text, table_name text, table_acl text, table_type text, remarks text
);
CREATE TABLE svv_all_columns (
    database_name text, schema_name text, table_name text, column_name text, ordinal_position int, column_default text,
    is_nullable text, data_type text, character_maximum_length int, numeric_precision int, numeric_scale int, remarks text
);

-- Query history: readable and empty. A cluster has the stl_ tables, a serverless workgroup the sys_ views only.
CREATE TABLE stl_query (
    userid int, query int, label text, xid bigint, pid int, database text, querytxt text, starttime timestamp, endtime timestamp,
    aborted int, insert_pristine int
);
CREATE TABLE stl_querytext (userid int, xid bigint, pid int, query int, sequence int, text text);
CREATE TABLE stl_scan (
    userid int, query int, slice int, segment int, step int, starttime timestamp, endtime timestamp, rows bigint, tbl int
);
CREATE TABLE stl_insert (LIKE stl_scan);
CREATE TABLE stl_delete (LIKE stl_scan);
CREATE TABLE svl_stored_proc_call (
    userid int, query int, label text, xid bigint, pid int, database text, querytxt text, starttime timestamp, endtime timestamp,
    aborted int
);
CREATE TABLE sys_query_history (
    user_id int, query_id bigint, query_label text, session_id int, database_name text, query_type text, status text,
    start_time timestamp, end_time timestamp, query_text text
);
CREATE TABLE sys_query_text (query_id bigint, sequence int, text text);
CREATE TABLE sys_query_detail (query_id bigint, step_name text, table_name text, output_rows bigint, start_time timestamp);
CREATE TABLE sys_procedure_call (query_id bigint, query_text text, status text, start_time timestamp, end_time timestamp);

GRANT USAGE ON SCHEMA redshift_facade TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA redshift_facade TO PUBLIC;

DO $path$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = redshift_facade, pg_catalog, "$user", public', current_database());
    -- Columns without a number come in the order of a UNION; sorted is at least the same order in every run.
    EXECUTE format('ALTER DATABASE %I SET enable_hashagg = off', current_database());
END
$path$;
