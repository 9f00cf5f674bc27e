//! Reads typed values out of a checked tree.
//!
//! The tree has been checked by the catalogue, so every value is there and of its kind, or there is
//! a mistake and no plan will come of it; then a neutral value stands in.

use super::kind;
use super::tree::{Node, Place, Table, Value};
use super::{Bucket, Law, Pointer, Rate, SecretRef, rate};
use crate::time::Span;

/// A place in the tree, and its path for mistakes.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    node: Option<&'a Node>,
    parent: &'a Place,
    path: String,
}

const NOWHERE: &Place = &Place::Default;

impl<'a> Cursor<'a> {
    /// The top.
    pub(super) const fn top(node: &'a Node) -> Self {
        Self {
            node: Some(node),
            parent: NOWHERE,
            path: String::new(),
        }
    }

    /// A key of the table here; `a.b` goes through a table.
    pub(super) fn at(&self, key: &str) -> Self {
        let mut here = self.clone();
        for step in key.split('.') {
            here = Self {
                node: here.table().and_then(|table| table.get(step)),
                parent: here.place(),
                path: if here.path.is_empty() {
                    step.to_owned()
                } else {
                    format!("{}.{step}", here.path)
                },
            };
        }
        here
    }

    /// The key, if it is written or has a default.
    pub(super) fn maybe(&self, key: &str) -> Option<Self> {
        Some(self.at(key)).filter(Self::is_there)
    }

    /// The items of the list at a key.
    pub(super) fn items(&self, key: &str) -> Vec<Self> {
        let list = self.at(key);
        let Some(Value::List(items)) = list.value() else {
            return Vec::new();
        };
        let item = |(index, node)| Self {
            node: Some(node),
            parent: list.place(),
            path: format!("{}[{index}]", list.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Whether there is a value.
    pub(super) const fn is_there(&self) -> bool {
        self.node.is_some()
    }

    /// The path, as mistakes show it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where the value was written, or else its table.
    pub(super) fn place(&self) -> &'a Place {
        super::mistake::place_of(self.node, self.parent)
    }

    /// The value.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.node.map(|node| &node.value)
    }

    /// The table, if it is one.
    pub(super) fn table(&self) -> Option<&'a Table> {
        self.node.and_then(Node::table)
    }

    /// Text at a key.
    pub(super) fn text(&self, key: &str) -> &'a str {
        self.at(key).own_text().unwrap_or("")
    }

    /// This value, if it is text.
    pub(super) fn own_text(&self) -> Option<&'a str> {
        match self.value() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Texts of the list at a key.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let items = self.items(key);
        let text = |item: &Self| item.own_text().map(str::to_owned);
        items.iter().filter_map(text).collect()
    }

    /// A length of time at a key.
    pub(super) fn span(&self, key: &str) -> Span {
        Span::parse(self.text(key)).unwrap_or_default()
    }

    /// A rate at a key, if there is one.
    pub(super) fn rate(&self, key: &str) -> Option<Rate> {
        Rate::parse(self.text(key))
    }

    /// Rates of the list at a key.
    pub(super) fn rates(&self, key: &str) -> Vec<Rate> {
        let texts = self.texts(key);
        texts.iter().filter_map(|text| Rate::parse(text)).collect()
    }

    /// A rate and the burst beside it, if there is a rate.
    pub(super) fn bucket(&self, rate: &str, burst: &str) -> Option<Bucket> {
        let rate = self.rate(rate)?;
        let burst = self.count(burst).max(1);
        Some(Bucket { rate, burst })
    }

    /// An integer at a key.
    pub(super) fn integer(&self, key: &str) -> u64 {
        match self.at(key).value() {
            Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// A count at a key, of 32 bits by its kind.
    pub(super) fn count(&self, key: &str) -> u32 {
        u32::try_from(self.integer(key)).unwrap_or(u32::MAX)
    }

    /// A size in bytes at a key.
    pub(super) fn size(&self, key: &str) -> u64 {
        match self.at(key).own_text() {
            Some(text) => rate::size(text).unwrap_or(0),
            None => self.integer(key),
        }
    }

    /// A number at a key.
    pub(super) fn number(&self, key: &str) -> f64 {
        match self.at(key).value() {
            Some(Value::Number(number)) => *number,
            // Larger integers are refused where a number is expected.
            Some(Value::Integer(number)) => i32::try_from(*number).map_or(0.0, f64::from),
            _ => 0.0,
        }
    }

    /// A truth at a key.
    pub(super) fn truth(&self, key: &str) -> bool {
        self.at(key).value() == Some(&Value::Bool(true))
    }

    /// Lengths of time of the list at a key.
    pub(super) fn spans(&self, key: &str) -> Vec<Span> {
        let items = self.items(key);
        let span = |item: &Self| item.own_text().and_then(Span::parse);
        items.iter().filter_map(span).collect()
    }

    /// A law at a key.
    pub(super) fn law(&self, key: &str) -> Law {
        Law::parse(self.text(key)).unwrap_or(Law::Fixed(Span::ZERO))
    }

    /// A JSON pointer at a key, if there is one.
    pub(super) fn pointer(&self, key: &str) -> Option<Pointer> {
        let text = self.at(key).own_text()?;
        Some(Pointer(text.to_owned()))
    }

    /// HTTP statuses at a key.
    pub(super) fn statuses(&self, key: &str) -> Vec<u16> {
        let items = self.items(key);
        let status = |item: &Self| match item.value() {
            Some(Value::Integer(number)) => u16::try_from(*number).ok(),
            _ => None,
        };
        items.iter().filter_map(status).collect()
    }

    /// A reference to a secret at a key, if there is one.
    pub(super) fn secret(&self, key: &str) -> Option<SecretRef> {
        self.at(key).own_secret()
    }

    /// This value, if it is a reference to a secret.
    pub(super) fn own_secret(&self) -> Option<SecretRef> {
        let (is_variable, name) = kind::secret(self.own_text()?)?;
        Some(if is_variable {
            SecretRef::Env(name.to_owned())
        } else {
            SecretRef::File(name.to_owned())
        })
    }
}
