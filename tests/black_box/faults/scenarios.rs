//! The commands whose every call is disturbed.

/// A command, what stands before it, and what it comes to.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// `spotctl.yaml`.
    pub(super) file: &'static str,
    /// `.env`.
    pub(super) env: &'static str,
    /// Words of `sandbox set`.
    pub(super) weather: &'static [&'static str],
    /// Commands that set the scene.
    pub(super) before: &'static [&'static str],
    /// What `spotctl.yaml` and `.env` become after that.
    pub(super) change: Option<(&'static str, &'static str)>,
    pub(super) command: &'static str,
    /// The operations whose calls are disturbed; none: all.
    pub(super) only: &'static [&'static str],
    /// Kinds of what the command removes, all of it.
    pub(super) removes: &'static [&'static str],
    /// Workers that live in the end.
    pub(super) live: usize,
    /// Workers that were ever launched.
    pub(super) ever: usize,
}

impl Scenario {
    /// The values that nobody may read.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let lines = self.change.map(|(_, env)| env).into_iter().chain([self.env]).flat_map(str::lines);
        lines.filter_map(|line| line.split_once('=')).map(|(_, value)| value).filter(|value| value.contains("secret"))
    }
}

const FILE: &str = "name: w\ncontainer: {image: public.ecr.aws/docker/library/busybox:1}\n";

/// Four pools of one type, two of them dry where the weather says so.
const ONE_TYPE: &str = "name: w
container: {image: public.ecr.aws/docker/library/busybox:1}
instance: {types: [g4dn.xlarge]}
";

/// Every part of the foundation is another one.
const CHANGED: &str = "name: w
container: {image: public.ecr.aws/docker/library/busybox:2}
parameters: {plain: [B]}
network: {egress: [443/tcp]}
access: {buckets: {media: read}}
tags: {Role: worker}
";

const ENV: &str = "A=a-secret-1\nB=b-secret-2\n";
const ENV_CHANGED: &str = "A=a-secret-3\nB=plain-now\nC=c-secret-4\n";

const NOTHING: Scenario = Scenario {
    name: "",
    file: FILE,
    env: ENV,
    weather: &[],
    before: &[],
    change: None,
    command: "",
    only: &[],
    removes: &[],
    live: 0,
    ever: 0,
};

const EVERYTHING: [&str; 6] =
    ["instance", "launch template", "security group", "role", "instance profile", "parameter"];

pub(super) const SCENARIOS: [Scenario; 11] = [
    Scenario { name: "up cold", command: "up", live: 1, ever: 1, ..NOTHING },
    Scenario { name: "up warm", before: &["apply"], command: "up", live: 1, ever: 1, ..NOTHING },
    Scenario {
        name: "up over dry pools",
        file: ONE_TYPE,
        weather: &["dry g4dn.xlarge us-east-1d", "dry g4dn.xlarge us-east-1a"],
        before: &["apply"],
        command: "up --wait launched",
        live: 1,
        ever: 1,
        ..NOTHING
    },
    Scenario {
        name: "up three",
        before: &["apply"],
        command: "up --count 3 --wait launched",
        live: 3,
        ever: 3,
        ..NOTHING
    },
    Scenario {
        name: "up three, shown late",
        weather: &["visibility 5s"],
        before: &["apply"],
        command: "up --count 3 --wait launched",
        only: &["RunInstances"],
        live: 3,
        ever: 3,
        ..NOTHING
    },
    Scenario {
        name: "up on demand",
        file: ONE_TYPE,
        weather: &["quota L-DB2E81BA=64", "dry-spot g4dn.xlarge *"],
        before: &["apply"],
        command: "up --wait launched --on-demand-fallback --max-price 0.60 --zone us-east-1a",
        live: 1,
        ever: 1,
        ..NOTHING
    },
    Scenario {
        name: "apply after a change",
        before: &["apply"],
        change: Some((CHANGED, ENV_CHANGED)),
        command: "apply",
        ..NOTHING
    },
    Scenario { name: "down", before: &["up --count 2"], command: "down", removes: &["instance"], ever: 2, ..NOTHING },
    Scenario {
        name: "destroy",
        before: &["up --count 2"],
        command: "destroy --yes",
        removes: &EVERYTHING,
        ever: 2,
        ..NOTHING
    },
    Scenario {
        name: "params push",
        env: "A=a-secret-1\nB=b-secret-2\nD=d-secret-5\n",
        before: &["apply"],
        change: Some((FILE, "A=a-secret-3\nB=b-secret-2\nC=c-secret-4\n")),
        command: "params push --prune",
        ..NOTHING
    },
    Scenario { name: "quota request", command: "quota request --vcpus 500", ..NOTHING },
];
