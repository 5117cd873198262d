//! The same scenario against moto, which nobody here wrote either.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use serde_json::json;

use super::support::{Folder, MINIMAL, column, python, python_command, python_json};

/// What moto does not model, and what is therefore not asked of it here. The embedded AWS is asked.
const GAPS: [(&str, &str); 5] = [
    ("a public default VPC", "its default VPC has no route to an internet gateway: the test makes one"),
    ("client tokens", "each RunInstances launches, whatever its token: no race is run against it"),
    ("SpotInstanceRequestId", "instances lack it: `spot_request` is null"),
    ("Deep Learning parameters", "not among its public parameters: the test puts an image id where one would stand"),
    (
        "Spot prices",
        "the same made-up price for few types: `max_price` is set, so that offers without a price are tried",
    ),
];

struct Moto {
    server: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let server = std::process::Command::new(python())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .env("MOTO_ENABLE_AMI_VALIDATION", "true")
            .env("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting moto");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { server, endpoint: format!("http://127.0.0.1:{port}") }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ]
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn moto_sees_the_same_life_of_a_worker() {
    assert!(GAPS.iter().all(|(gap, why)| !gap.is_empty() && !why.is_empty()));
    let moto = Moto::start();
    let environment = moto.environment();
    let image = python_json("moto_setup.py", &[], &environment);
    let image = image.as_str().expect("an image id");
    let file = format!("{MINIMAL}instance: {{types: [g4dn.xlarge], ami: {image}, max_price: 5}}\n");
    let folder = Folder::with(&file);
    folder.write(".env", "TOKEN=hush\n");
    let spotctl = |arguments: &[&str]| folder.spotctl_with(arguments, &environment);

    let up = spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "state"), ["running"]);
    let again = spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&again, "workers", "id"), column(&up, "workers", "id"));
    assert!(column(&again, "changes", "action").iter().all(|action| action == "none"), "{again:#}");
    let status = spotctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(column(&status, "workers", "id"), column(&up, "workers", "id"));
    spotctl(&["down"]).exits(0);
    assert_eq!(python_json("instances.py", &["pending", "running"], &environment), json!([]));
    spotctl(&["destroy", "--yes"]).exits(0);
    let left = python_command("leftovers.py", &[], &environment).output().expect("python").stdout;
    assert_eq!(String::from_utf8_lossy(&left).trim(), "[]");
}
