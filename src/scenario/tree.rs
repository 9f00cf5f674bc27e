//! A scenario as a tree of values, each of which knows where it was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bytes of the file.
    Text(Range<usize>),
    /// The n-th `--set`.
    Override(usize),
    /// Nowhere: it is a default.
    Default,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
    /// Where its key was written, for mistakes about the key itself.
    pub key: Place,
}

/// What TOML can hold. Dates are kept as their text: no key takes one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number with a point or an exponent.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A date, a time, or an integer beyond 64 bits: nothing that a key takes.
    Other(String),
    /// An array.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// Entries of a table, in the order of their keys.
pub type Table = BTreeMap<String, Node>;

impl Node {
    /// A value that nobody wrote.
    pub fn made(value: Value) -> Self {
        Self {
            value,
            place: Place::Default,
            key: Place::Default,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The node at a dotted path below this one; numbers count list items from 0.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.')
            .try_fold(self, |node, step| match &node.value {
                Value::Table(table) => table.get(step),
                Value::List(list) => list.get(step.parse::<usize>().ok()?),
                _ => None,
            })
    }
}

impl Value {
    /// What it is, as a reader would say it, without its content.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Other(_) => "a date or a number too large",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// As JSON; text, numbers and booleans keep their type.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) | Self::Other(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
            Self::Bool(truth) => (*truth).into(),
            Self::List(list) => list.iter().map(|node| node.value.json()).collect(),
            Self::Table(table) => table
                .iter()
                .map(|(key, node)| (key.clone(), node.value.json()))
                .collect(),
        }
    }

    /// As TOML on one line.
    pub fn inline(&self) -> String {
        match self {
            Self::Text(text) => toml::Value::String(text.clone()).to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => toml::Value::Float(*number).to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Other(text) => text.clone(),
            Self::List(list) => {
                let items: Vec<String> = list.iter().map(|node| node.value.inline()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(table) => {
                let items: Vec<String> = table
                    .iter()
                    .map(|(key, node)| format!("{} = {}", toml_key(key), node.value.inline()))
                    .collect();
                format!("{{ {} }}", items.join(", "))
            }
        }
    }
}

/// A key, quoted where it must be.
fn toml_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

/// Reads the tree that the parser made.
pub fn from_toml(table: &DeTable<'_>) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let mut node = node_from(value.get_ref(), value.span());
            node.key = Place::Text(key.span());
            (key.get_ref().to_string(), node)
        })
        .collect()
}

/// One value that the parser made, and its bytes.
pub fn node_from(value: &DeValue<'_>, span: Range<usize>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map_or_else(|_| Value::Other(digits.to_string()), Value::Integer),
        DeValue::Float(digits) => digits
            .as_str()
            .parse()
            .map_or_else(|_| Value::Other(digits.to_string()), Value::Number),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| node_from(item.get_ref(), item.span()))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(from_toml(table)),
    };
    Node {
        value,
        place: Place::Text(span.clone()),
        key: Place::Text(span),
    }
}

/// Gives every node of a tree the same place.
pub fn place_all(node: &mut Node, place: &Place) {
    node.place = place.clone();
    node.key = place.clone();
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|item| place_all(item, place)),
        Value::Table(table) => table.values_mut().for_each(|item| place_all(item, place)),
        _ => {}
    }
}

/// Writes a table as TOML: plain keys first, then `[tables]` and `[[lists of tables]]`.
pub fn to_toml(table: &Table) -> String {
    let mut out = String::new();
    write_table(&mut out, "", table);
    out
}

fn write_table(out: &mut String, path: &str, table: &Table) {
    let mut below = Vec::new();
    for (key, node) in table {
        if is_section(&node.value) {
            below.push((key, node));
        } else {
            let _ = writeln!(out, "{} = {}", toml_key(key), node.value.inline());
        }
    }
    for (key, node) in below {
        let key = toml_key(key);
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        match &node.value {
            Value::Table(table) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, &path, table);
            }
            Value::List(list) => {
                for table in list.iter().filter_map(Node::table) {
                    let _ = writeln!(out, "\n[[{path}]]");
                    write_table(out, &path, table);
                }
            }
            _ => {}
        }
    }
}

/// Whether a value gets a header of its own.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::List(list) => !list.is_empty() && list.iter().all(|node| node.table().is_some()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_tree_reads_back() {
        let text = "a = 1\nb = 'x\"y'\nf = 2.0\n[t]\nl = [1, 'two', { three = 3 }]\n\
                    [t.\"odd key\"]\nx = true\n[[s]]\nn = 1\n[[s]]\nn = 2\n[[s.in]]\nq = 0.5\n";
        let first = DeTable::parse(text).unwrap();
        let written = to_toml(&from_toml(first.get_ref()));
        let again: toml::Table = toml::from_str(&written).unwrap();
        assert_eq!(again, toml::from_str::<toml::Table>(text).unwrap());
    }

    #[test]
    fn values_are_found_by_path() {
        let parsed = DeTable::parse("[[load]]\nrate = '1/s'\n[[load]]\nrate = '2/s'\n").unwrap();
        let root = Node::made(Value::Table(from_toml(parsed.get_ref())));
        let rate = root.at("load.1.rate").unwrap();
        assert_eq!(rate.value, Value::Text("2/s".to_owned()));
        assert!(root.at("load.2.rate").is_none());
    }
}
