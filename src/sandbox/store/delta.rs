//! What became of the state since an earlier copy of it, as JSON that can be applied to that copy.
//!
//! A value that changed stands there whole. A structure is an object of those fields that changed, a map one of those keys:
//! `[delta]` where the key is new or its value changed, `[]` where it is gone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Error, Map, Value};

use super::shared::Shared;

/// A part of the state.
pub trait Part: Sized {
    /// What to apply to `old` to get this; `None`: nothing.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    fn delta(&self, old: &Self) -> Result<Option<Value>, Error>;

    /// Carries out what [`Part::delta`] told.
    ///
    /// # Errors
    /// It was told of something else.
    fn apply(&mut self, delta: Value) -> Result<(), Error>;
}

impl<T: Part + Clone> Part for Shared<T> {
    fn delta(&self, old: &Self) -> Result<Option<Value>, Error> {
        if self.is_untouched(old) { Ok(None) } else { (**self).delta(old) }
    }

    fn apply(&mut self, delta: Value) -> Result<(), Error> {
        (**self).apply(delta)
    }
}

impl<V: Part + Serialize + DeserializeOwned> Part for BTreeMap<String, V> {
    fn delta(&self, old: &Self) -> Result<Option<Value>, Error> {
        let mut changed = Map::new();
        // Both are in order: one walk over both.
        let mut before = old.iter().peekable();
        for (key, value) in self {
            while let Some((gone, _)) = before.next_if(|(other, _)| *other < key) {
                changed.insert(gone.clone(), Value::Array(Vec::new()));
            }
            let delta = match before.next_if(|(other, _)| *other == key) {
                Some((_, earlier)) => value.delta(earlier)?,
                None => Some(serde_json::to_value(value)?),
            };
            if let Some(delta) = delta {
                changed.insert(key.clone(), Value::Array(vec![delta]));
            }
        }
        changed.extend(before.map(|(gone, _)| (gone.clone(), Value::Array(Vec::new()))));
        Ok((!changed.is_empty()).then_some(Value::Object(changed)))
    }

    fn apply(&mut self, delta: Value) -> Result<(), Error> {
        for (key, mut change) in serde_json::from_value::<BTreeMap<String, Vec<Value>>>(delta)? {
            match (change.pop(), self.get_mut(&key)) {
                (None, _) => drop(self.remove(&key)),
                (Some(delta), Some(value)) => value.apply(delta)?,
                (Some(whole), None) => drop(self.insert(key, serde_json::from_value(whole)?)),
            }
        }
        Ok(())
    }
}

/// Structures that are told field by field. A field that is missing in the list does not compile.
macro_rules! in_fields {
    ($kind:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::sandbox::store::delta::Part for $kind {
            fn delta(&self, old: &Self) -> Result<Option<serde_json::Value>, serde_json::Error> {
                use $crate::sandbox::store::delta::Part;
                let Self { $($field),+ } = self;
                let mut changed = serde_json::Map::new();
                $(if let Some(delta) = Part::delta($field, &old.$field)? {
                    changed.insert(stringify!($field).to_owned(), delta);
                })+
                Ok((!changed.is_empty()).then_some(serde_json::Value::Object(changed)))
            }

            fn apply(&mut self, delta: serde_json::Value) -> Result<(), serde_json::Error> {
                use $crate::sandbox::store::delta::Part;
                let mut changed: serde_json::Map<String, serde_json::Value> = serde_json::from_value(delta)?;
                $(if let Some(delta) = changed.remove(stringify!($field)) {
                    Part::apply(&mut self.$field, delta)?;
                })+
                Ok(())
            }
        }
    };
}

/// Values that are told whole.
macro_rules! whole {
    ($($kind:ty),+ $(,)?) => {
        $(impl $crate::sandbox::store::delta::Part for $kind {
            fn delta(&self, old: &Self) -> Result<Option<serde_json::Value>, serde_json::Error> {
                if self == old { Ok(None) } else { serde_json::to_value(self).map(Some) }
            }

            fn apply(&mut self, delta: serde_json::Value) -> Result<(), serde_json::Error> {
                *self = serde_json::from_value(delta)?;
                Ok(())
            }
        })+
    };
}

pub(crate) use {in_fields, whole};

whole!(bool, i64, u64, String, Option<String>, Option<i64>, Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    type Table = BTreeMap<String, Shared<BTreeMap<String, Option<String>>>>;

    fn table(json: &str) -> Table {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_was_told_makes_the_old_into_the_new() {
        let states = [
            "{}",
            r#"{"a": {"x": "1", "y": null}, "b": {}}"#,
            r#"{"a": {"x": "2"}, "b": {"z": null}}"#,
            r#"{"b": {"z": "3"}, "c": {"x": "1"}, "d": {}}"#,
        ];
        for old in states.map(table) {
            for new in states.map(table) {
                let told = new.delta(&old).unwrap();
                assert_eq!(told.is_none(), old == new);
                let mut made = old.clone();
                told.map_or(Ok(()), |told| made.apply(told)).unwrap();
                assert_eq!(made, new, "from {old:?}");
            }
        }
    }

    #[test]
    fn only_what_changed_is_told() {
        let old = table(r#"{"a": {"x": "1"}, "b": {"y": "2"}, "c": {}}"#);
        let mut new = old.clone();
        new.get_mut("b").unwrap().insert("y".to_owned(), None);
        new.remove("c");
        assert_eq!(new.delta(&old).unwrap().unwrap().to_string(), r#"{"b":[{"y":[null]}],"c":[]}"#);
    }
}
