//! From the tree to the spec: known keys, types, values, one finding a mistake, and on with the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use super::diagnostic::{Finding, meant};
use super::keys::{FILE, SECTIONS, VOLUME};
use super::rules;
use super::tree::{Node, Value};
use crate::spec::{
    Access, Ami, BucketAccess, Container, DeepLearningOs, Egress, Gib, Gpus, Instance, InvalidText, KmsKey, Lifetime,
    Network, ParameterPath, Parameters, Period, Selection, Spec, Subnets, Text, Types, Usd, Volume, VolumeKind, Vpc,
    WorkerName, is_key,
};

/// Reads a tree.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) findings: Vec<Finding>,
}

/// The entries of one mapping.
#[derive(Default)]
struct Fields<'n> {
    path: String,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    fn get(&self, key: &str) -> Option<(String, &'n Node)> {
        let node = self.entries.iter().find(|(name, _)| *name == key).map(|(_, node)| *node)?;
        // `key:` with nothing behind it is as if it were not there.
        (node.value != Value::Null).then(|| (join(&self.path, key), node))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, findings: Vec::new() }
    }

    fn find(&mut self, node: &Node, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.findings.push(Finding { at: node.at.clone(), key: path.to_owned(), message: message.into(), hint });
    }

    fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        let found = node.value.kind();
        self.find(node, path, format!("`{path}` is {wanted}, not {found}"), None);
    }

    /// The mapping's entries; unknown keys are findings.
    fn fields<'n>(&mut self, node: &'n Node, path: &str, known: &[&'static str]) -> Fields<'n> {
        let Value::Map(entries) = &node.value else {
            let what = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
            self.find(node, path, format!("{what} is a mapping, not {}", node.value.kind()), None);
            return Fields::default();
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
            let elsewhere = || {
                let section = SECTIONS.iter().find(|section| section.keys().any(|name| name == key.text))?;
                (section.key != path).then(|| format!("it belongs under `{}`", section.key))
            };
            self.findings.push(Finding {
                at: key.at.clone(),
                key: join(path, &key.text),
                message: format!("no key `{}`{place}", key.text),
                hint: meant(&key.text, known.iter().copied()).or_else(elsewhere),
            });
        }
        Fields { path: path.to_owned(), entries: entries.iter().map(|(key, node)| (key.text.as_str(), node)).collect() }
    }

    fn section<'n>(&mut self, file: &Fields<'n>, key: &str) -> Fields<'n> {
        let known =
            SECTIONS.iter().find(|section| section.key == key).map(|section| section.keys().collect::<Vec<_>>());
        match file.get(key) {
            Some((path, node)) => self.fields(node, &path, &known.unwrap_or_default()),
            None => Fields { path: key.to_owned(), entries: Vec::new() },
        }
    }

    /// A scalar as it was written: a number keeps its digits.
    fn scalar(&mut self, node: &Node, path: &str, wanted: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(self.text[node.at.clone()].trim().to_owned()),
            _ => {
                self.wrong_type(node, path, wanted);
                None
            }
        }
    }

    fn parsed<T: FromStr<Err = InvalidText>>(&mut self, fields: &Fields<'_>, key: &str) -> Option<T> {
        let (path, node) = fields.get(key)?;
        let text = self.scalar(node, &path, "a text")?;
        self.value(node, &path, &text)
    }

    fn value<T: FromStr<Err = InvalidText>>(&mut self, node: &Node, path: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(InvalidText(message)) => {
                self.find(node, path, format!("`{path}`: {message}"), None);
                None
            }
        }
    }

    fn flag(&mut self, fields: &Fields<'_>, key: &str, default: bool) -> bool {
        let Some((path, node)) = fields.get(key) else { return default };
        if let Value::Bool(value) = node.value {
            return value;
        }
        self.wrong_type(node, &path, "true or false");
        default
    }

    fn number(&mut self, fields: &Fields<'_>, key: &str) -> Option<(u32, String, Node)> {
        let (path, node) = fields.get(key)?;
        let parsed =
            matches!(node.value, Value::Number(_)).then(|| self.text[node.at.clone()].trim().parse::<u32>().ok());
        match parsed.flatten().filter(|number| *number > 0) {
            Some(number) => Some((number, path, node.clone())),
            None => {
                self.find(node, &path, format!("`{path}` is a whole number from 1"), None);
                None
            }
        }
    }

    fn list<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Vec<(String, &'n Node)> {
        let Some((path, node)) = fields.get(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.wrong_type(node, &path, "a list");
            return Vec::new();
        };
        items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
    }

    fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<(String, Node, String)> {
        let mut texts = Vec::new();
        for (path, node) in self.list(fields, key) {
            if let Some(text) = self.scalar(node, &path, "a text") {
                texts.push((path, node.clone(), text));
            }
        }
        texts
    }

    fn patterns(&mut self, fields: &Fields<'_>, key: &str) -> Vec<Text> {
        let texts = self.texts(fields, key);
        texts.iter().filter_map(|(path, node, text)| self.value(node, path, text)).collect()
    }

    fn map<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Vec<(String, &'n super::tree::Key, &'n Node)> {
        let Some((path, node)) = fields.get(key) else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, &path, "a mapping");
            return Vec::new();
        };
        entries.iter().map(|(key, node)| (join(&path, &key.text), key, node)).collect()
    }

    /// One of these words, else a finding with a suggestion.
    fn choice<T: Copy>(&mut self, node: &Node, path: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = meant(text, known.iter().copied());
        self.find(node, path, format!("`{path}`: `{text}` is none of {}", known.join(", ")), hint);
        None
    }

    fn rule(&mut self, node: &Node, path: &str, checked: Result<(), String>) {
        if let Err(message) = checked {
            self.find(node, path, format!("`{path}`: {message}"), None);
        }
    }

    /// The whole file; what could not be read has a finding and some value in its place.
    pub(super) fn file(&mut self, root: &Node, folder: &Path) -> Option<Spec> {
        let known: Vec<&'static str> = FILE.keys().chain(SECTIONS.iter().map(|section| section.key)).collect();
        let file = self.fields(root, "", &known);
        let name: Option<WorkerName> = self.parsed(&file, "name");
        if name.is_none() && file.get("name").is_none() {
            self.missing(root, "name", "name: worker-gpu");
        }
        let region = self.region(&file, name.as_ref());
        let container = self.container(&file, root);
        let access = self.access(&file);
        let fallback = name.clone().or_else(|| "x".parse().ok());
        let image = container.as_ref().map(|container| container.image.clone());
        let parameters = self.parameters(&file, fallback.as_ref()?, folder, image.as_ref(), &access);
        if let Some(container) = &container {
            self.exposed(&file, container, &parameters.plain);
        }
        let instance = self.instance(&file);
        let network = self.network(&file);
        let lifetime = self.lifetime(&file);
        let tags = self.tags(&file);
        Some(Spec { name: name?, region, container: container?, parameters, instance, network, lifetime, access, tags })
    }

    fn missing(&mut self, root: &Node, key: &str, sample: &str) {
        let at = root.at.start..root.at.start;
        let hint = Some(format!("add `{sample}`"));
        self.findings.push(Finding { at, key: key.to_owned(), message: format!("the key `{key}` is missing"), hint });
    }

    fn region(&mut self, file: &Fields<'_>, name: Option<&WorkerName>) -> Option<String> {
        let (path, node) = file.get("region")?;
        let region = self.scalar(node, &path, "a text")?;
        self.rule(node, &path, rules::region(&region));
        if let Some(name) = name {
            self.rule(node, &path, rules::role_name(name, &region));
        }
        Some(region)
    }

    fn container(&mut self, file: &Fields<'_>, root: &Node) -> Option<Container> {
        if file.get("container").is_none() {
            self.missing(root, "container", "container: {image: …}");
        }
        let fields = self.section(file, "container");
        let image: Option<Text> = match fields.get("image") {
            Some((path, node)) => {
                let text = self.scalar(node, &path, "a text");
                text.and_then(|text| {
                    self.rule(node, &path, rules::image(&text));
                    self.value(node, &path, &text)
                })
            }
            None => {
                if let Some((_, node)) = file.get("container") {
                    let at = node.at.start..node.at.start;
                    self.findings.push(Finding {
                        at,
                        key: "container.image".to_owned(),
                        message: "the key `image` is missing in `container`".to_owned(),
                        hint: Some("add `image: REGISTRY/REPOSITORY:TAG`".to_owned()),
                    });
                }
                None
            }
        };
        let gpus = self.gpus(&fields);
        let mut env = BTreeMap::new();
        for (path, key, node) in self.map(&fields, "env") {
            let Some(text) = self.scalar(node, &path, "a text") else { continue };
            let key_node = Node { at: key.at.clone(), value: Value::Null };
            self.rule(&key_node, &path, rules::env_key(&key.text));
            if let Some(text) = self.value(node, &path, &text) {
                env.insert(key.text.clone(), text);
            }
        }
        let parameters = self.selection(&fields);
        let args = self.patterns(&fields, "args");
        for (path, node, text) in self.texts(&fields, "args") {
            self.rule(&node, &path, rules::docker_argument(&text));
        }
        let command = self.patterns(&fields, "command");
        let stop_timeout = self.parsed(&fields, "stop_timeout").unwrap_or(Period::from_secs(90));
        Some(Container { image: image?, gpus, env, parameters, args, command, stop_timeout })
    }

    fn gpus(&mut self, fields: &Fields<'_>) -> Gpus {
        let Some((path, node)) = fields.get("gpus") else { return Gpus::All };
        if matches!(node.value, Value::Number(_)) {
            return self.number(fields, "gpus").map_or(Gpus::All, |(count, ..)| Gpus::Count(count));
        }
        let Some(text) = self.scalar(node, &path, "all, none or a number") else { return Gpus::All };
        match text.as_str() {
            "all" => Gpus::All,
            "none" => Gpus::None,
            _ => {
                let message = format!("`{path}`: `{text}` is none of all, none, a number");
                self.find(node, &path, message, meant(&text, ["all", "none"]));
                Gpus::All
            }
        }
    }

    fn selection(&mut self, fields: &Fields<'_>) -> Selection {
        let Some((path, node)) = fields.get("parameters") else { return Selection::All };
        if let Value::Text(text) = &node.value {
            self.choice(node, &path, text, &[("all", ())]);
            return Selection::All;
        }
        let mut keys = BTreeSet::new();
        for (path, node, text) in self.texts(fields, "parameters") {
            self.rule(&node, &path, rules::key(&text));
            keys.insert(text);
        }
        Selection::Keys(keys)
    }

    /// A secret in an argument would stand in the box's process list.
    fn exposed(&mut self, file: &Fields<'_>, container: &Container, plain: &BTreeSet<String>) {
        let fields = self.section(file, "container");
        for place in ["args", "command"] {
            let texts: &[Text] = if place == "args" { &container.args } else { &container.command };
            let nodes = self.texts(&fields, place);
            for (path, node, written) in nodes {
                let Some(text) = texts.iter().find(|text| text.to_string() == written) else { continue };
                let built_in = crate::decide::user_data::BUILT_IN;
                let secret = text.keys().find(|key| !plain.contains(*key) && !built_in.contains(key));
                if let Some(key) = secret.map(str::to_owned) {
                    let message = format!("`{path}`: `${{{key}}}` would show a secret in the box's process list");
                    let hint = format!(
                        "the container has it as the environment variable {key}; or list it under `parameters.plain`"
                    );
                    self.find(&node, &path, message, Some(hint));
                }
            }
        }
    }

    fn parameters(
        &mut self,
        file: &Fields<'_>,
        name: &WorkerName,
        folder: &Path,
        image: Option<&Text>,
        access: &Access,
    ) -> Parameters {
        let fields = self.section(file, "parameters");
        let path: ParameterPath = self.parsed(&fields, "path").unwrap_or_else(|| ParameterPath::default_for(name));
        let named = fields.get("file").and_then(|(path, node)| self.scalar(node, &path, "a text"));
        let file_is_required = named.is_some();
        let file = Some(folder.join(named.as_deref().unwrap_or(".env")));
        let mut plain: BTreeSet<String> = BTreeSet::new();
        for (path, node, text) in self.texts(&fields, "plain") {
            self.rule(&node, &path, rules::key(&text));
            plain.insert(text);
        }
        let used = image.into_iter().chain(&access.queues).chain(access.buckets.iter().map(|(bucket, _)| bucket));
        plain.extend(used.flat_map(Text::keys).filter(|key| is_key(key)).map(str::to_owned));
        plain.extend(rules::keys_in_statements(&access.statements));
        let kms_key = fields.get("kms_key").and_then(|(path, node)| {
            let text = self.scalar(node, &path, "a text")?;
            self.rule(node, &path, rules::kms_key(&text));
            Some(KmsKey(text))
        });
        let kms_key = kms_key.unwrap_or_else(|| KmsKey(KmsKey::AWS_MANAGED.to_owned()));
        Parameters { path, file, file_is_required, plain, kms_key }
    }

    fn instance(&mut self, file: &Fields<'_>) -> Instance {
        let fields = self.section(file, "instance");
        let types = match fields.get("types") {
            Some((path, node)) if matches!(node.value, Value::Text(_)) => {
                let text = self.scalar(node, &path, "a text").unwrap_or_default();
                let hint =
                    if text.contains('.') { Some(format!("a list: [{text}]")) } else { meant(&text, ["cheapest"]) };
                if text != "cheapest" {
                    self.find(node, &path, format!("`{path}` is `cheapest` or a list, not `{text}`"), hint);
                }
                Types::Cheapest
            }
            Some((path, node)) => {
                let texts = self.texts(&fields, "types");
                if texts.is_empty() && matches!(node.value, Value::List(_)) {
                    self.find(node, &path, format!("`{path}` lists nothing"), Some("`cheapest` takes any".to_owned()));
                }
                for (path, node, text) in &texts {
                    self.rule(node, path, rules::instance_type(text));
                }
                Types::Listed(texts.into_iter().map(|(_, _, text)| text).collect())
            }
            None => Types::Cheapest,
        };
        let gpus = self.number(&fields, "gpus").map_or(1, |(gpus, ..)| gpus);
        let gpu_memory = self.parsed(&fields, "gpu_memory").unwrap_or(Gib(16));
        let max_price: Option<Usd> = self.parsed(&fields, "max_price");
        if let (Some((path, node)), Some(price)) = (fields.get("max_price"), max_price) {
            let positive = if price.micros() > 0 { Ok(()) } else { Err("a cap of nothing buys nothing".to_owned()) };
            self.rule(node, &path, positive);
        }
        let on_demand_fallback = self.flag(&fields, "on_demand_fallback", false);
        if let (Some((path, node)), true, None) = (fields.get("on_demand_fallback"), on_demand_fallback, max_price) {
            let hint = Some("add `max_price: 0.60` to `instance`".to_owned());
            self.find(node, &path, format!("`{path}` needs `instance.max_price`: on demand has a ceiling too"), hint);
        }
        Instance {
            types,
            gpus,
            gpu_memory,
            max_price,
            on_demand_fallback,
            ami: self.ami(&fields),
            volume: self.volume(&fields),
        }
    }

    fn ami(&mut self, fields: &Fields<'_>) -> Ami {
        let default = Ami::DeepLearning(DeepLearningOs::Ubuntu2404);
        let Some((path, node)) = fields.get("ami") else { return default };
        let Some(text) = self.scalar(node, &path, "a text") else { return default };
        if let Some(name) = text.strip_prefix("ssm:") {
            self.rule(node, &path, rules::public_parameter(name));
            return Ami::Parameter(name.to_owned());
        }
        if text.starts_with("ami-") {
            self.rule(node, &path, rules::id(&text, "ami-"));
            return Ami::Id(text);
        }
        match DeepLearningOs::NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, os)) => Ami::DeepLearning(*os),
            None => {
                let names = DeepLearningOs::NAMES.map(|(name, _)| name);
                let message = format!("`{path}`: `{text}` is none of {}, ami-…, ssm:/…", names.join(", "));
                self.find(node, &path, message, meant(&text, names));
                default
            }
        }
    }

    fn volume(&mut self, instance: &Fields<'_>) -> Volume {
        let default = Volume { kind: VolumeKind::Gp3, size: Gib(30), iops: None, throughput: None };
        let Some((path, node)) = instance.get("volume") else { return default };
        let fields = self.fields(node, &path, &VOLUME.keys().collect::<Vec<_>>());
        let kind = fields.get("type").and_then(|(path, node)| {
            let text = self.scalar(node, &path, "a text")?;
            self.choice(node, &path, &text, &[("gp3", VolumeKind::Gp3), ("gp2", VolumeKind::Gp2)])
        });
        let kind = kind.unwrap_or(VolumeKind::Gp3);
        let size = self.parsed(&fields, "size").unwrap_or(default.size);
        if let Some((path, node)) = fields.get("size") {
            self.rule(node, &path, rules::volume_size(size));
        }
        let mut tuned = |key: &str, check: fn(VolumeKind, u32) -> Result<(), String>| {
            let (value, path, node) = self.number(&fields, key)?;
            self.rule(&node, &path, check(kind, value));
            Some(value)
        };
        let (iops, throughput) = (tuned("iops", rules::iops), tuned("throughput", rules::throughput));
        Volume { kind, size, iops, throughput }
    }

    fn network(&mut self, file: &Fields<'_>) -> Network {
        let fields = self.section(file, "network");
        let vpc = self.vpc(&fields);
        let subnets = match fields.get("subnets") {
            Some((path, node)) if matches!(node.value, Value::Text(_)) => {
                let text = self.scalar(node, &path, "a text").unwrap_or_default();
                self.choice(node, &path, &text, &[("public", ())]);
                Subnets::Public
            }
            Some(_) => {
                let texts = self.texts(&fields, "subnets");
                for (path, node, text) in &texts {
                    self.rule(node, path, rules::id(text, "subnet-"));
                }
                Subnets::Ids(texts.into_iter().map(|(_, _, text)| text).collect())
            }
            None => Subnets::Public,
        };
        let egress = match fields.get("egress") {
            Some((path, node)) if matches!(node.value, Value::Text(_)) => {
                let text = self.scalar(node, &path, "a text").unwrap_or_default();
                self.choice(node, &path, &text, &[("all", ())]);
                Egress::All
            }
            Some((path, node)) => {
                let texts = self.texts(&fields, "egress");
                if texts.is_empty() && matches!(node.value, Value::List(_)) {
                    let message =
                        format!("`{path}` lists nothing: a worker that may call nobody cannot even fetch its image");
                    self.find(node, &path, message, None);
                }
                Egress::Ports(texts.iter().filter_map(|(path, node, text)| self.value(node, path, text)).collect())
            }
            None => Egress::All,
        };
        Network { vpc, subnets, egress }
    }

    fn vpc(&mut self, fields: &Fields<'_>) -> Vpc {
        let Some((path, node)) = fields.get("vpc") else { return Vpc::Default };
        match &node.value {
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => {
                    let value = self.scalar(value, &path, "a text").unwrap_or_default();
                    Vpc::Tag { key: key.text.clone(), value }
                }
                _ => {
                    self.find(node, &path, format!("`{path}` names one tag, such as {{Name: main}}"), None);
                    Vpc::Default
                }
            },
            Value::Text(text) if text == "default" => Vpc::Default,
            Value::Text(text) => {
                let checked = rules::id(text, "vpc-");
                let hint = meant(text, ["default"]);
                if let Err(message) = checked {
                    self.find(node, &path, format!("`{path}`: {message}, nor `default`"), hint);
                }
                Vpc::Id(text.clone())
            }
            _ => {
                self.wrong_type(node, &path, "default, vpc-… or {tag: value}");
                Vpc::Default
            }
        }
    }

    fn lifetime(&mut self, file: &Fields<'_>) -> Lifetime {
        let fields = self.section(file, "lifetime");
        let mut limit = |key: &str, default: Period| {
            let Some((path, node)) = fields.get(key) else { return Some(default) };
            let Some(text) = self.scalar(node, &path, "a length of time or `none`") else { return Some(default) };
            if text == "none" {
                return None;
            }
            Some(self.value(node, &path, &text).unwrap_or(default))
        };
        Lifetime {
            max: limit("max", Period::from_secs(8 * 3600)),
            idle: limit("idle", Period::from_secs(15 * 60)),
            boot: limit("boot", Period::from_secs(20 * 60)),
        }
    }

    fn access(&mut self, file: &Fields<'_>) -> Access {
        let fields = self.section(file, "access");
        for (path, node, text) in self.texts(&fields, "queues") {
            self.rule(&node, &path, rules::queue(&text));
        }
        let queues = self.patterns(&fields, "queues");
        let mut buckets = Vec::new();
        for (path, key, node) in self.map(&fields, "buckets") {
            let key_node = Node { at: key.at.clone(), value: Value::Null };
            self.rule(&key_node, &path, rules::bucket(&key.text));
            let Some(word) = self.scalar(node, &path, "read, write or read-write") else { continue };
            let words =
                [("read", BucketAccess::Read), ("write", BucketAccess::Write), ("read-write", BucketAccess::ReadWrite)];
            let may = self.choice(node, &path, &word, &words);
            let name: Option<Text> = self.value(&key_node, &path, &key.text);
            buckets.extend(name.zip(may));
        }
        let launchers = self.texts(&fields, "launchers");
        for (path, node, text) in &launchers {
            self.rule(node, path, rules::role(text));
        }
        let mut statements = Vec::new();
        for (path, node) in self.list(&fields, "statements") {
            let statement = plain(self.text, node);
            self.rule(node, &path, rules::statement(&statement));
            statements.push(statement);
        }
        Access {
            queues,
            buckets,
            session_manager: self.flag(&fields, "session_manager", true),
            launchers: launchers.into_iter().map(|(_, _, text)| text).collect(),
            statements,
        }
    }

    fn tags(&mut self, file: &Fields<'_>) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        let entries = self.map(file, "tags");
        if entries.len() > rules::MOST_TAGS
            && let Some((path, node)) = file.get("tags")
        {
            self.find(node, &path, format!("`{path}` has more than {} tags", rules::MOST_TAGS), None);
        }
        for (path, key, node) in entries {
            let Some(value) = self.scalar(node, &path, "a text") else { continue };
            let key_node = Node { at: key.at.clone(), value: Value::Null };
            self.rule(&key_node, &path, rules::tag_key(&key.text));
            self.rule(node, &path, rules::tag_value(&value));
            tags.insert(key.text.clone(), value);
        }
        tags
    }
}

/// A part of the file as JSON.
fn plain(text: &str, node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(value) => {
            text[node.at.clone()].trim().parse::<i64>().map_or_else(|_| (*value).into(), Into::into)
        }
        Value::Text(value) => value.clone().into(),
        Value::List(items) => items.iter().map(|item| plain(text, item)).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.text.clone(), plain(text, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
