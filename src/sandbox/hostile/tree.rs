//! Answers as trees, so that damage goes where the client looks.

use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Value, json};

use super::{How, Other};

/// An element of an answer in XML.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    pub(super) fn leaf(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), children: Vec::new() }
    }

    pub(super) fn node(name: &str, children: Vec<Self>) -> Self {
        Self { name: name.to_owned(), text: String::new(), children }
    }

    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut reader = Reader::from_str(text);
        let name = |start: &BytesStart<'_>| String::from_utf8_lossy(start.name().as_ref().as_bytes()).into_owned();
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::node(&name(&start), Vec::new())),
                Event::Empty(start) => open.last_mut()?.children.push(Self::node(&name(&start), Vec::new())),
                Event::Text(text) => {
                    if let Some(last) = open.last_mut() {
                        last.text.push_str(&text);
                    }
                }
                Event::GeneralRef(name) => {
                    let letter = match &*name {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => '?',
                    };
                    open.last_mut()?.text.push(letter);
                }
                Event::End(_) => {
                    let done = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => return Some(done),
                    }
                }
                Event::Eof => return None,
                _ => {}
            }
        }
    }

    pub(super) fn document(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) {
        let _ = write!(to, "<{}>", self.name);
        for letter in self.text.chars() {
            match letter {
                '<' => to.push_str("&lt;"),
                '&' => to.push_str("&amp;"),
                '>' => to.push_str("&gt;"),
                // No XML of AWS's holds one as itself, and readers differ in what they let through.
                letter if letter.is_control() && letter != '\n' => {
                    let _ = write!(to, "&#x{:x};", u32::from(letter));
                }
                letter => to.push(letter),
            }
        }
        self.children.iter().for_each(|child| child.write(to));
        let _ = write!(to, "</{}>", self.name);
    }

    fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    pub(super) fn damage(&mut self, how: &How) {
        let Some(at) = how.place() else { return };
        let at = at.index(self.count());
        if let How::Every(_, text) = how {
            let name = self.name_of(at);
            self.every(&name, text);
        } else if at == 0 {
            hurt(self, how);
        } else {
            self.at(at, how);
        }
    }

    fn name_of(&self, at: usize) -> String {
        let mut all = Vec::new();
        self.names(&mut all);
        all.swap_remove(at)
    }

    fn names(&self, all: &mut Vec<String>) {
        all.push(self.name.clone());
        self.children.iter().for_each(|child| child.names(all));
    }

    fn every(&mut self, name: &str, text: &str) {
        if self.name == name {
            self.children.clear();
            text.clone_into(&mut self.text);
        }
        self.children.iter_mut().for_each(|child| child.every(name, text));
    }

    /// The element `at` places further on in the document.
    fn at(&mut self, mut at: usize, how: &How) {
        at -= 1;
        for index in 0..self.children.len() {
            let count = self.children[index].count();
            if at >= count {
                at -= count;
                continue;
            }
            if at > 0 {
                return self.children[index].at(at, how);
            }
            match how {
                How::Remove(_) => drop(self.children.remove(index)),
                How::Repeat(_, times) => {
                    let copy = self.children[index].clone();
                    self.children.splice(index..index, std::iter::repeat_n(copy, *times));
                }
                how => hurt(&mut self.children[index], how),
            }
            return;
        }
    }

    /// What a list of instances says of each that it shows: the private address, which no damage that keeps the item moves
    /// unless it is itself what is damaged.
    pub(super) fn instances(&self) -> Vec<String> {
        let inside = |name: &'static str| move |child: &&Self| child.name == name;
        let sets = self.children.iter().filter(inside("reservationSet")).flat_map(|set| &set.children);
        let sets = sets.filter(inside("item")).flat_map(|reservation| &reservation.children);
        let items = sets.filter(inside("instancesSet")).flat_map(|set| &set.children).filter(inside("item"));
        items.map(|item| item.mark()).collect()
    }

    fn mark(&self) -> String {
        let mark = self.children.iter().find(|child| child.name == "privateIpAddress");
        mark.map_or_else(String::new, |mark| mark.text.clone())
    }

    /// EC2's tokens stand at the top, IAM's in the result.
    pub(super) fn name_next(&mut self, token: &str) {
        let is_result = |child: &Self| child.name.ends_with("Result");
        let (place, names) = match self.children.iter().position(is_result) {
            Some(result) => (&mut self.children[result], &[("IsTruncated", "true"), ("Marker", token)][..]),
            None => (self, &[("nextToken", token)][..]),
        };
        for (name, text) in names {
            place.children.retain(|child| child.name != *name);
            place.children.push(Self::leaf(name, text));
        }
    }
}

fn hurt(element: &mut Element, how: &How) {
    match how {
        How::Text(_, text) => {
            element.children.clear();
            text.clone_into(&mut element.text);
        }
        How::Remove(_) | How::Empty(_) => *element = Element::leaf(&element.name, ""),
        How::Rename(_) => element.name.push('X'),
        How::Extra(_) => {
            let odd = Element::node("unheardOf", vec![Element::leaf("item", "\u{1b}")]);
            element.children.insert(0, odd);
        }
        How::Kind(_, other) => match other {
            Other::Text => *element = Element::leaf(&element.name, "text"),
            Other::Number => *element = Element::leaf(&element.name, "7"),
            Other::Nothing => *element = Element::leaf(&element.name, ""),
            Other::List => {
                let inner = Element { name: "item".to_owned(), ..element.clone() };
                *element = Element::node(&element.name, vec![inner.clone(), inner]);
            }
            Other::Object => *element = Element::node(&element.name, vec![element.clone()]),
        },
        _ => {}
    }
}

pub(super) fn damage_json(root: &mut Value, how: &How) {
    let Some(at) = how.place() else { return };
    let mut places = Vec::new();
    gather(root, &mut String::new(), &mut places);
    let place = at.get(&places).clone();
    match how {
        How::Every(_, text) => {
            let name = place.rsplit('/').next().unwrap_or_default().to_owned();
            for place in places.iter().filter(|place| place.rsplit('/').next() == Some(name.as_str())) {
                if let Some(value) = root.pointer_mut(place) {
                    *value = replaced(value, text);
                }
            }
        }
        How::Remove(_) | How::Rename(_) | How::Repeat(..) => {
            let Some((parent, name)) = place.rsplit_once('/') else { return };
            let name = name.replace("~1", "/").replace("~0", "~");
            match (root.pointer_mut(parent), how) {
                (Some(Value::Object(fields)), How::Remove(_)) => drop(fields.remove(&name)),
                (Some(Value::Object(fields)), How::Rename(_)) => {
                    if let Some(value) = fields.remove(&name) {
                        fields.insert(name + "X", value);
                    }
                }
                (Some(Value::Array(items)), How::Remove(_)) => {
                    if let Ok(index) = name.parse::<usize>() {
                        items.remove(index);
                    }
                }
                (Some(Value::Array(items)), How::Repeat(_, times)) => {
                    if let Ok(index) = name.parse::<usize>() {
                        let copy = items[index].clone();
                        items.splice(index..index, std::iter::repeat_n(copy, *times));
                    }
                }
                _ => {}
            }
        }
        how => {
            if let Some(value) = root.pointer_mut(&place) {
                hurt_json(value, how);
            }
        }
    }
}

fn gather(value: &Value, path: &mut String, places: &mut Vec<String>) {
    places.push(path.clone());
    let length = path.len();
    let mut each = |name: &str, value: &Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        gather(value, path, places);
        path.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| each(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| each(&index.to_string(), value)),
        _ => {}
    }
}

/// A number stays one where the text is one: JSON has no other, and SDKs refuse the rest.
fn replaced(value: &Value, text: &str) -> Value {
    match value {
        Value::Number(_) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

fn hurt_json(value: &mut Value, how: &How) {
    *value = match (how, &*value) {
        (How::Text(_, text), old) => replaced(old, text),
        (How::Empty(_), Value::Object(_)) => json!({}),
        (How::Empty(_), Value::Array(_)) => json!([]),
        (How::Empty(_), _) => json!(""),
        (How::Extra(_), Value::Object(fields)) => {
            let odd = ("UnheardOf".to_owned(), json!({"a": [null, 1.5]}));
            Value::Object(fields.clone().into_iter().chain([odd]).collect())
        }
        (How::Extra(_), Value::Array(items)) => Value::Array([&items[..], &[json!(null)]].concat()),
        (How::Kind(_, Other::Text), _) => json!("text"),
        (How::Kind(_, Other::Number), _) => json!(7),
        (How::Kind(_, Other::List), old) => json!([old, old]),
        (How::Kind(_, Other::Object), old) => json!({ "inner": old }),
        (How::Kind(_, Other::Nothing), _) => Value::Null,
        (_, old) => old.clone(),
    };
}
