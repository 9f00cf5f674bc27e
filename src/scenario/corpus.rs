//! Rows of a CSV or JSONL file that bodies and headers may use, one row an arrival.

use std::sync::Arc;

/// Rows that templates may use. Only the fields that they use are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    fields: Arc<[Box<str>]>,
    rows: Arc<[Box<[Box<str>]>]>,
    order: CorpusOrder,
}

/// What follows the last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorpusOrder {
    /// The first row: arrival `seq` has row `seq` modulo their number.
    Loop,
    /// Nothing: a plan is refused whose arrivals may outnumber the rows.
    Once,
}

impl Corpus {
    /// Reads rows: CSV with a header line if `name` ends in `.csv`, otherwise a JSON object a line.
    ///
    /// Every row must have all `needed` fields. A JSON string counts by its content, any other
    /// value by its JSON text.
    pub fn read(
        name: &str,
        bytes: &[u8],
        order: CorpusOrder,
        needed: &[&str],
    ) -> Result<Self, String> {
        let csv = name
            .rsplit('.')
            .next()
            .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let rows = if csv {
            read_csv(bytes, needed)?
        } else {
            read_jsonl(bytes, needed)?
        };
        if rows.is_empty() {
            return Err("a file without rows".to_owned());
        }
        Ok(Self {
            fields: needed.iter().map(|field| (*field).into()).collect(),
            rows: rows.into(),
            order,
        })
    }

    /// The field of an arrival's row.
    pub fn field(&self, seq: u64, field: &str) -> Option<&str> {
        let column = self.fields.iter().position(|name| **name == *field)?;
        let row = usize::try_from(seq % self.rows() as u64).ok()?;
        self.rows.get(row)?.get(column).map(|text| &**text)
    }

    /// How many rows there are; never 0.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What follows the last row.
    pub const fn order(&self) -> CorpusOrder {
        self.order
    }
}

type Rows = Vec<Box<[Box<str>]>>;

fn read_csv(bytes: &[u8], needed: &[&str]) -> Result<Rows, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let header = reader.headers().map_err(|why| why.to_string())?.clone();
    let columns: Vec<usize> = needed
        .iter()
        .map(|field| {
            header
                .iter()
                .position(|name| name == *field)
                .ok_or_else(|| {
                    let known: Vec<&str> = header.iter().collect();
                    format!("no column `{field}` (it has {})", known.join(", "))
                })
        })
        .collect::<Result<_, _>>()?;
    reader
        .records()
        .map(|record| {
            let record = record.map_err(|why| why.to_string())?;
            Ok(columns.iter().map(|at| record[*at].into()).collect())
        })
        .collect()
}

fn read_jsonl(bytes: &[u8], needed: &[&str]) -> Result<Rows, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|why| format!("text that is not UTF-8: {why}"))?;
    let lines = text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let number = number + 1;
            let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
                .map_err(|why| format!("line {number}, which is no JSON object: {why}"))?;
            let value = |field: &&str| match row.get(*field) {
                Some(serde_json::Value::String(text)) => Ok(text.as_str().into()),
                Some(other) => Ok(other.to_string().into()),
                None => Err(format!("line {number} without the field `{field}`")),
            };
            needed.iter().map(value).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_looped() {
        let csv = b"id,unused,text\n1,x,\"two\nlines\"\n2,y,b\n";
        let corpus = Corpus::read("A.CSV", csv, CorpusOrder::Loop, &["text", "id"]).unwrap();
        assert_eq!(corpus.rows(), 2);
        assert_eq!(corpus.field(0, "text"), Some("two\nlines"));
        assert_eq!(corpus.field(3, "id"), Some("2"));
        assert_eq!(corpus.field(0, "unused"), None);
        let jsonl = b"{\"a\": {\"b\": 1}}\n\n{\"a\": \"x\", \"c\": 2}\n";
        let corpus = Corpus::read("a.jsonl", jsonl, CorpusOrder::Once, &["a"]).unwrap();
        assert_eq!(corpus.field(0, "a"), Some("{\"b\":1}"));
        assert_eq!(corpus.field(1, "a"), Some("x"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |name: &str, bytes: &[u8], word: &str| {
            let said = Corpus::read(name, bytes, CorpusOrder::Loop, &["a"]).unwrap_err();
            assert!(said.contains(word), "{said}");
        };
        check("x.csv", b"b,c\n1,2\n", "no column `a` (it has b, c)");
        check("x.csv", b"a,c\n1\n", "record");
        check("x.csv", b"a\n", "without rows");
        check(
            "x.jsonl",
            b"{\"a\":1}\n[]\n",
            "line 2, which is no JSON object",
        );
        check("x.jsonl", b"{\"b\":1}", "line 1 without the field `a`");
        check("x.jsonl", &[0xff], "not UTF-8");
    }
}
