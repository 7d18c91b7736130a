//! The rules for columns and table constraints within one request. Looks at nothing but the request.

use std::collections::HashSet;

use serde::Deserialize;

use crate::reply::Refusal;
use crate::row::{Malformed, Row};

/// What is checked of a column.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Column {
    name: String,
    data_type: String,
    data_length: Option<i64>,
    precision: Option<i64>,
    scale: Option<i64>,
    array_data_type: Option<String>,
    children: Option<Vec<Column>>,
    tags: Option<Vec<Tag>>,
}

/// What is checked of a tag label.
#[derive(Deserialize, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    /// The tag's FQN.
    #[serde(rename = "tagFQN")]
    pub fqn: String,
    /// `Classification` or `Glossary`.
    pub source: Option<String>,
}

/// What is checked of a table constraint.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    /// Its kind.
    pub constraint_type: Option<String>,
    /// The columns of this table.
    pub columns: Option<Vec<String>>,
    /// FQNs of columns of other tables.
    pub referred_columns: Option<Vec<String>>,
}

const NEED_LENGTH: &[&str] = &["CHAR", "VARCHAR", "BINARY", "VARBINARY"];

/// Checks the columns and constraints of a row.
pub fn check(row: &Row) -> Result<Result<(), Refusal>, Malformed> {
    let columns: Vec<Column> = row.read_field("columns")?.unwrap_or_default();
    if let Err(refusal) = check_level(&columns) {
        return Ok(Err(refusal));
    }
    let constraints: Vec<Constraint> = row.read_field("tableConstraints")?.unwrap_or_default();
    Ok(check_constraints(&columns, &constraints))
}

fn check_level(columns: &[Column]) -> Result<(), Refusal> {
    let mut names = HashSet::with_capacity(columns.len());
    for column in columns {
        let name = &column.name;
        if name.is_empty() || name.chars().count() > 256 {
            return Err(Refusal::bad("[columns[].name size must be between 1 and 256]"));
        }
        if !names.insert(name.as_str()) {
            return Err(Refusal::bad(format!("Column name {name} is repeated")));
        }
        if NEED_LENGTH.contains(&column.data_type.as_str()) && column.data_length.is_none() {
            return Err(Refusal::bad(
                "For column data types char, varchar, binary, varbinary dataLength must not be null",
            ));
        }
        if column.data_type == "ARRAY" && column.array_data_type.is_none() {
            return Err(Refusal::bad(
                "For column data type array, arrayDataType must not be null",
            ));
        }
        match (column.precision, column.scale) {
            (None, Some(_)) => return Err(Refusal::bad("Scale is set but precision is not set")),
            (Some(precision), Some(scale)) if scale > precision => {
                return Err(Refusal::bad("Scale cannot be larger than the precision"));
            }
            _ => {}
        }
        check_level(column.children.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

fn check_constraints(columns: &[Column], constraints: &[Constraint]) -> Result<(), Refusal> {
    let known: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut seen = HashSet::new();
    for constraint in constraints {
        let named = constraint.columns.as_deref().unwrap_or_default();
        for column in named {
            if !known.contains(column.as_str()) {
                return Err(Refusal::bad("Invalid column name found in table constraint"));
            }
        }
        if !seen.insert((&constraint.constraint_type, named, &constraint.referred_columns)) {
            return Err(Refusal::bad("Duplicate constraint found in request"));
        }
    }
    Ok(())
}

/// The tags of all columns of a row.
pub fn tags(row: &Row) -> Result<Vec<Tag>, Malformed> {
    fn gather(columns: Vec<Column>, into: &mut Vec<Tag>) {
        for column in columns {
            into.extend(column.tags.unwrap_or_default());
            gather(column.children.unwrap_or_default(), into);
        }
    }
    let mut found = Vec::new();
    // Only rows that mention a tag at all are read again.
    if row.raw("columns").is_some_and(|text| text.contains("tagFQN")) {
        gather(row.read_field("columns")?.unwrap_or_default(), &mut found);
    }
    Ok(found)
}
