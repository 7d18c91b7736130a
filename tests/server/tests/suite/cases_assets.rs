//! Cases 9 to 12: queries, dashboards, drives, containers, users, tags, lineage.

use om_reference_server::{auth, Profile};
use serde_json::{json, Value};

use crate::api::{counts, failed, passed, table, Api};

fn dashboards(api: &Api) {
    api.fine(
        "PUT",
        "services/dashboardServices",
        json!({"name": "bi", "serviceType": "Looker"}),
    );
}

#[test]
fn case_9_1_and_9_2_a_query_is_called_by_its_name_or_its_checksum() {
    let api = Api::start().with_schema();
    let rows = json!([{"query": "SELECT 1", "service": "svc"}, {"query": "SELECT 2", "service": "svc", "name": "two"}]);
    let answer = api.fine("PUT", "queries/bulk", rows);
    let sum = "3e1bbdf1ef97d7d9ad23b4b3a4a63b2d";
    let names = passed(&answer);
    assert_eq!(names[1], "svc.two");
    let entity = api.get(&format!("queries/name/{}", names[0])).body;
    assert_eq!(
        entity["fullyQualifiedName"],
        json!(format!("svc.{}", entity["checksum"].as_str().expect("a sum")))
    );
    assert_eq!(entity["checksum"].as_str().map(str::len), Some(sum.len()));
    assert_eq!(api.get("queries/name/svc.two").body["name"], "two");
}

#[test]
fn case_9_3_the_same_text_under_another_name_is_refused() {
    let api = Api::of(Profile::V1_12).with_schema();
    let query = |name: &str| json!({"query": "SELECT 1", "service": "svc", "name": name});
    api.fine("POST", "queries", query("one"));
    assert_eq!(api.call("POST", "queries", query("two")).status, 409);
    let answer = api.fine("PUT", "queries/bulk", json!([query("three")]));
    assert_eq!(counts(&answer), (1, 0, 1));
    let row = &failed(&answer)[0];
    assert_eq!(row["request"], "svc.three");
    assert!(row["message"]
        .as_str()
        .expect("a text")
        .contains("unique_query_checksum"));
}

#[test]
fn from_1_13_a_repeated_text_is_an_error_only_across_services() {
    let api = Api::of(Profile::V1_13).with_schema();
    api.fine(
        "PUT",
        "services/databaseServices",
        json!({"name": "other", "serviceType": "Postgres"}),
    );
    let query = |service: &str, name: &str| json!([{"query": "SELECT 1", "service": service, "name": name}]);
    assert_eq!(counts(&api.fine("PUT", "queries/bulk", query("svc", "one"))), (1, 1, 0));
    assert_eq!(counts(&api.fine("PUT", "queries/bulk", query("svc", "two"))), (1, 1, 0));
    let answer = api.fine("PUT", "queries/bulk", query("other", "one"));
    assert!(failed(&answer)[0]["message"]
        .as_str()
        .expect("a text")
        .contains("unique_query_checksum"));
}

#[test]
fn case_9_4_the_checksum_follows_the_text() {
    let api = Api::start().with_schema();
    api.fine(
        "PUT",
        "queries",
        json!({"query": "SELECT 1", "service": "svc", "name": "one"}),
    );
    let before = api.get("queries/name/svc.one").body["checksum"].clone();
    let patch = json!([{"op": "replace", "path": "/query", "value": "SELECT 2"}]);
    assert_ne!(api.fine("PATCH", "queries/name/svc.one", patch)["checksum"], before);
    // The old text is free again.
    assert_eq!(
        api.call(
            "POST",
            "queries",
            json!({"query": "SELECT 1", "service": "svc", "name": "new"})
        )
        .status,
        201
    );
}

#[test]
fn case_9_6_the_tables_of_a_query_are_references() {
    let api = Api::start().with_schema();
    let id = api.fine("PUT", "tables", table("t"))["id"].clone();
    let used = json!([{"id": id, "type": "table"}]);
    api.fine(
        "PUT",
        "queries/bulk",
        json!([{"query": "SELECT 1", "service": "svc", "name": "q", "queryUsedIn": used}]),
    );
    let entity = api.get("queries/name/svc.q?fields=queryUsedIn").body;
    assert_eq!(entity["queryUsedIn"][0]["fullyQualifiedName"], "svc.db.s.t");
    let listed = api
        .get(&format!("queries?entityId={}", id.as_str().expect("an id")))
        .body;
    assert_eq!(listed["paging"]["total"], 1);
}

#[test]
fn case_10_1_the_charts_of_a_dashboard_must_exist() {
    let api = Api::start();
    dashboards(&api);
    let dashboard = json!([{"name": "d", "service": "bi", "charts": ["bi.c1"], "dataModels": ["bi.model.m1"]}]);
    let answer = api.fine("PUT", "dashboards/bulk", dashboard.clone());
    assert_eq!(failed(&answer)[0]["message"], "chart instance for bi.c1 not found");
    api.fine("PUT", "charts/bulk", json!([{"name": "c1", "service": "bi"}]));
    let answer = api.fine("PUT", "dashboards/bulk", dashboard.clone());
    assert_eq!(
        failed(&answer)[0]["message"],
        "dashboardDataModel instance for bi.model.m1 not found"
    );
    let model = json!([{"name": "m1", "service": "bi", "dataModelType": "LookMlView", "columns": []}]);
    assert_eq!(
        passed(&api.fine("PUT", "dashboard/datamodels/bulk", model)),
        ["bi.model.m1"]
    );
    assert_eq!(passed(&api.fine("PUT", "dashboards/bulk", dashboard)), ["bi.d"]);
    let entity = api.get("dashboards/name/bi.d?fields=charts,dataModels").body;
    assert_eq!(entity["charts"][0]["fullyQualifiedName"], "bi.c1");
    assert_eq!(entity["dataModels"][0]["fullyQualifiedName"], "bi.model.m1");
}

#[test]
fn case_10_2_a_chart_may_name_its_dashboards() {
    let api = Api::start();
    dashboards(&api);
    api.fine("PUT", "dashboards/bulk", json!([{"name": "d", "service": "bi"}]));
    let answer = api.fine(
        "PUT",
        "charts/bulk",
        json!([{"name": "c", "service": "bi", "dashboards": ["bi.d"]}]),
    );
    assert_eq!(passed(&answer), ["bi.c"]);
    assert_eq!(
        api.get("charts/name/bi.c?fields=dashboards").body["dashboards"][0]["name"],
        "d"
    );
}

#[test]
fn case_10_4_and_10_5_charts_share_the_fate_of_their_last_dashboard() {
    let api = Api::start();
    dashboards(&api);
    api.fine(
        "PUT",
        "charts/bulk",
        json!([{"name": "own", "service": "bi"}, {"name": "shared", "service": "bi"}]),
    );
    let rows = json!([
        {"name": "d1", "service": "bi", "charts": ["bi.own", "bi.shared"]}, {"name": "d2", "service": "bi", "charts": ["bi.shared"]},
    ]);
    api.fine("PUT", "dashboards/bulk", rows);
    let id = api.get("dashboards/name/bi.d1").body["id"].clone();
    api.fine("DELETE", "dashboards/name/bi.d1", Value::Null);
    assert_eq!(
        (
            api.get("charts/name/bi.own").status,
            api.get("charts/name/bi.shared").status
        ),
        (404, 200)
    );
    api.fine("PUT", "dashboards/restore", json!({"id": id}));
    assert_eq!(api.get("charts/name/bi.own").status, 200);
    api.fine("DELETE", "charts/name/bi.own", Value::Null);
    let charts = api.get("dashboards/name/bi.d1?fields=charts").body["charts"].clone();
    assert_eq!(charts.as_array().map(Vec::len), Some(1));
}

#[test]
fn case_11_1_and_11_2_names_and_parents_of_drive_assets() {
    let api = Api::start();
    api.fine(
        "PUT",
        "services/driveServices",
        json!({"name": "drv", "serviceType": "GoogleDrive"}),
    );
    let put = |path: &str, row: Value| passed(&api.fine("PUT", &format!("{path}/bulk"), json!([row]))).concat();
    assert_eq!(
        put("drives/directories", json!({"name": "a", "service": "drv"})),
        "drv.a"
    );
    assert_eq!(
        put(
            "drives/directories",
            json!({"name": "b", "service": "drv", "parent": "drv.a"})
        ),
        "drv.a.b"
    );
    assert_eq!(
        put(
            "drives/files",
            json!({"name": "f", "service": "drv", "directory": "drv.a.b"})
        ),
        "drv.a.b.f"
    );
    assert_eq!(put("drives/files", json!({"name": "g", "service": "drv"})), "drv.g");
    let id = api.get("drives/directories/name/drv.a.b").body["id"].clone();
    let parent = json!({"id": id, "type": "directory"});
    assert_eq!(
        put(
            "drives/spreadsheets",
            json!({"name": "x", "service": "drv", "parent": parent})
        ),
        "drv.a.b.x"
    );
    assert_eq!(
        put("drives/spreadsheets", json!({"name": "y", "service": "drv"})),
        "drv.y"
    );
    assert_eq!(
        put("drives/worksheets", json!({"name": "w", "spreadsheet": "drv.a.b.x"})),
        "drv.a.b.x.w"
    );
    let sheet = api.get("drives/spreadsheets/name/drv.a.b.x").body;
    assert_eq!(sheet["directory"]["fullyQualifiedName"], "drv.a.b");
    assert_eq!(
        api.get("drives/worksheets/name/drv.a.b.x.w").body["service"]["name"],
        "drv"
    );
    assert_eq!(api.get("drives/directories?root=true").body["paging"]["total"], 1);
}

#[test]
fn a_row_cannot_build_on_another_of_its_request() {
    let api = Api::start();
    api.fine(
        "PUT",
        "services/driveServices",
        json!({"name": "drv", "serviceType": "GoogleDrive"}),
    );
    let rows = json!([{"name": "a", "service": "drv"}, {"name": "b", "service": "drv", "parent": "drv.a"}]);
    let answer = api.fine("PUT", "drives/directories/bulk", rows);
    assert_eq!(counts(&answer), (2, 1, 1));
    assert_eq!(failed(&answer)[0]["message"], "directory instance for drv.a not found");
}

#[test]
fn case_11_3_and_11_4_a_container_names_its_parent_by_id() {
    let api = Api::start();
    api.fine(
        "PUT",
        "services/storageServices",
        json!({"name": "st", "serviceType": "S3"}),
    );
    let id = api.fine("PUT", "containers", json!({"name": "bucket", "service": "st"}))["id"].clone();
    let child = json!({"name": "path", "service": "st", "parent": {"id": id, "type": "container"}});
    assert_eq!(
        api.fine("PUT", "containers", child)["fullyQualifiedName"],
        "st.bucket.path"
    );
    let nobody = json!({"id": "00000000-0000-4000-8000-000000000000", "type": "container"});
    assert_eq!(
        api.call(
            "PUT",
            "containers",
            json!({"name": "x", "service": "st", "parent": nobody})
        )
        .status,
        404
    );
}

#[test]
fn case_12_1_and_12_2_users_are_lower_case() {
    let api = Api::start();
    let user = api.fine("PUT", "users", json!({"name": "Ann.Smith", "email": "Ann@X.org"}));
    assert_eq!(
        (&user["name"], &user["email"]),
        (&json!("ann.smith"), &json!("ann@x.org"))
    );
    assert_eq!(api.get("users/name/ann.smith").status, 200);
    assert_eq!(
        api.call("PUT", "users", json!({"name": "other", "email": "ANN@x.org"}))
            .status,
        400
    );
    assert_eq!(
        api.call("PUT", "users", json!({"name": "other", "email": "no address"}))
            .status,
        400
    );
    assert_eq!(api.get("users/loggedInUser").body["name"], "ingestion-bot");
}

#[test]
fn case_12_4_and_12_5_tags() {
    let api = Api::start();
    api.fine("PUT", "classifications", json!({"name": "C", "description": "d"}));
    let tag = |name: &str, more: Value| {
        let mut body = json!({"name": name, "description": "d"});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        api.call("PUT", "tags", body)
    };
    assert_eq!(
        tag("a", json!({"classification": "C"})).body["fullyQualifiedName"],
        "C.a"
    );
    assert_eq!(tag("b", json!({"parent": "C.a"})).body["fullyQualifiedName"], "C.a.b");
    assert_eq!(tag("c", json!({"parent": "C.none"})).status, 404);
    assert_eq!(tag("c", json!({"classification": "None"})).status, 404);
    assert_eq!(tag("c", json!({})).status, 400);
}

#[test]
fn case_12_7_and_12_8_lineage() {
    let api = Api::start().with_schema();
    let (a, b) = (
        api.fine("PUT", "tables", table("a"))["id"].clone(),
        api.fine("PUT", "tables", table("b"))["id"].clone(),
    );
    let edge = |column: &str, sql: &str| {
        json!({"edge": {
            "fromEntity": {"id": a, "type": "table"},
            "toEntity": {"id": b, "type": "table"},
            "lineageDetails": {"sqlQuery": sql, "columnsLineage": [{"fromColumns": [column], "toColumn": "svc.db.s.b.id"}]},
        }})
    };
    assert_eq!(api.call("PUT", "lineage", edge("svc.db.s.a.id", "one")).status, 200);
    assert_eq!(api.call("PUT", "lineage", edge("svc.db.s.a.id", "two")).status, 200);
    let refused = api.call("PUT", "lineage", edge("svc.db.s.a.none", "three"));
    assert_eq!(
        (refused.status, &refused.body["message"]),
        (400, &json!("Invalid column name svc.db.s.a.none"))
    );
    let graph = api
        .get("lineage/table/name/svc.db.s.a?upstreamDepth=1&downstreamDepth=1")
        .body;
    let edges = graph["downstreamEdges"].as_array().expect("edges");
    assert_eq!(
        (edges.len(), &edges[0]["lineageDetails"]["sqlQuery"]),
        (1, &json!("two"))
    );
    assert_eq!(graph["nodes"][0]["fullyQualifiedName"], "svc.db.s.b");
    let path = format!("{}/{}", a.as_str().expect("an id"), b.as_str().expect("an id"));
    assert_eq!(api.get(&format!("lineage/getLineageEdge/{path}")).status, 200);
    assert_eq!(
        api.get("lineage/table/name/svc.db.s.a?upstreamDepth=0&downstreamDepth=0")
            .body["downstreamEdges"],
        json!([])
    );
    assert_eq!(
        api.call_as(&auth::consumer_token(), "PUT", "lineage", edge("svc.db.s.a.id", "x"))
            .status,
        403
    );
    let gone = json!({"edge": {"fromEntity": {"id": a, "type": "table"}, "toEntity": {"id": "00000000-0000-4000-8000-000000000000", "type": "table"}}});
    assert_eq!(api.call("PUT", "lineage", gone).status, 404);
    assert_eq!(
        api.call(
            "DELETE",
            "lineage/table/name/svc.db.s.a/table/name/svc.db.s.b",
            Value::Null
        )
        .status,
        200
    );
    assert_eq!(api.get(&format!("lineage/getLineageEdge/{path}")).status, 404);
}
