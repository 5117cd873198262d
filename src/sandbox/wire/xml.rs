//! XML answers: a small tree, written by quick-xml, which escapes.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

/// An element with a text or with children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: Option<String>,
    children: Vec<Element>,
}

/// An element with children.
pub fn node(name: impl Into<String>, children: Vec<Element>) -> Element {
    Element { name: name.into(), text: None, children }
}

/// An element with a text.
#[expect(clippy::needless_pass_by_value, reason = "texts, numbers and flags alike, borrowed or not")]
pub fn leaf(name: impl Into<String>, text: impl ToString) -> Element {
    Element { name: name.into(), text: Some(text.to_string()), children: Vec::new() }
}

/// A list as EC2 (`item`) or IAM (`member`) writes it.
pub fn list(name: impl Into<String>, item: &str, items: impl IntoIterator<Item = Vec<Element>>) -> Element {
    node(name, items.into_iter().map(|children| node(item, children)).collect())
}

/// An element where there is a value, else none; for `children.extend(maybe(…))`.
pub fn maybe(name: &str, value: Option<impl ToString>) -> Option<Element> {
    value.map(|value| leaf(name, value))
}

impl Element {
    /// The document, its root in this name space.
    #[must_use]
    pub fn document(&self, namespace: Option<&str>) -> Vec<u8> {
        let mut writer = Writer::new(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec());
        self.write(&mut writer, namespace);
        writer.into_inner()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>, namespace: Option<&str>) {
        let mut start = BytesStart::new(self.name.as_str());
        if let Some(namespace) = namespace {
            start.push_attribute(("xmlns", namespace));
        }
        // Writing into memory does not fail.
        let _ = writer.write_event(Event::Start(start));
        if let Some(text) = &self.text {
            let _ = writer.write_event(Event::Text(BytesText::new(text)));
        }
        for child in &self.children {
            child.write(writer, None);
        }
        let _ = writer.write_event(Event::End(BytesEnd::new(self.name.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_the_root_has_its_name_space() {
        let tree = node("R", vec![leaf("a", "<&\">"), node("empty", vec![]), list("l", "item", [vec![leaf("k", 1)]])]);
        let text = String::from_utf8(tree.document(Some("urn:x"))).unwrap();
        assert!(
            text.ends_with(
                "<R xmlns=\"urn:x\"><a>&lt;&amp;&quot;&gt;</a><empty></empty><l><item><k>1</k></item></l></R>"
            ),
            "{text}"
        );
    }
}
