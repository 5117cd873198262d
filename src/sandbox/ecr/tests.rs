use jiff::Timestamp;

use super::*;
use crate::sandbox::world::World;

fn ask(world: &mut World, operation: &str, body: &Value) -> Result<Value, String> {
    let now = Timestamp::from_second(1_000).unwrap();
    let mut call = Call { world, region: "us-east-1".to_owned(), now, operation: operation.to_owned() };
    handle(&mut call, body.to_string().as_bytes()).map_err(|error| error.code)
}

/// Put so many seconds after the epoch.
fn put(world: &mut World, reference: &str, size: u64, second: i64) {
    images::put(&mut world.region("us-east-1").ecr, &reference.parse().unwrap(), size, second * 1000);
}

fn names(answer: &Value) -> String {
    let repositories = answer["repositories"].as_array().unwrap();
    let named = repositories.iter().map(|repository| repository["repositoryName"].as_str().unwrap());
    named.collect::<Vec<_>>().join(" ")
}

/// Tag and size of each image, `-` for none, in the order of the sizes.
fn images_in(answer: &Value) -> String {
    let mut images: Vec<(u64, String)> = answer["imageDetails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            (image["imageSizeInBytes"].as_u64().unwrap(), image["imageTags"][0].as_str().unwrap_or("-").to_owned())
        })
        .collect();
    images.sort();
    images.into_iter().map(|(size, tag)| format!("{tag}={size}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_ecr_would_refuse_is_refused() {
    let mut world = World::default();
    put(&mut world, "full:1", 1, 0);
    let invalid = "InvalidParameterException";
    let id = |id: Value| json!({"repositoryName": "full", "imageIds": [id]});
    let table = [
        ("CreateRepository", json!({"repositoryName": "full"}), "RepositoryAlreadyExistsException"),
        ("CreateRepository", json!({"repositoryName": "A"}), invalid),
        ("CreateRepository", json!({"repositoryName": "a", "imageTagMutability": "IMMUTABLE"}), "ValidationException"),
        ("CreateRepository", json!({"repositoryName": "ab", "registryId": "999999999999"}), "AccessDeniedException"),
        ("DescribeRepositories", json!({"repositoryNames": ["full", "none"]}), "RepositoryNotFoundException"),
        ("DescribeRepositories", json!({"repositoryNames": []}), invalid),
        ("DescribeRepositories", json!({"repositoryNames": ["full"], "maxResults": 1}), invalid),
        ("DescribeRepositories", json!({"maxResults": 0}), invalid),
        ("DescribeRepositories", json!({"maxResults": 1001}), invalid),
        ("DescribeRepositories", json!({"nextToken": "nonsense"}), invalid),
        ("DeleteRepository", json!({"repositoryName": "full"}), "RepositoryNotEmptyException"),
        ("DeleteRepository", json!({"repositoryName": "none"}), "RepositoryNotFoundException"),
        ("GetAuthorizationToken", json!({"registryIds": ["999999999999"]}), "AccessDeniedException"),
        ("GetAuthorizationToken", json!({"colour": "red"}), "ValidationException"),
        ("DescribeImages", json!({"repositoryName": "none"}), "RepositoryNotFoundException"),
        ("DescribeImages", json!({"repositoryName": "full", "filter": {"tagStatus": "RED"}}), "ValidationException"),
        ("DescribeImages", id(json!({})), invalid),
        ("DescribeImages", id(json!({"imageTag": "2"})), "ImageNotFoundException"),
        ("DescribeImages", id(json!({"imageDigest": "sha256:0"})), "ImageNotFoundException"),
        ("PutImage", json!({"repositoryName": "full"}), "InvalidAction"),
    ];
    for (operation, body, wanted) in table {
        assert_eq!(ask(&mut world, operation, &body), Err(wanted.to_owned()), "{operation} {body}");
    }
}

#[test]
fn a_repository_is_made_described_and_deleted() {
    let mut world = World::default();
    let made = ask(&mut world, "CreateRepository", &json!({"repositoryName": "team/worker"})).unwrap();
    let wanted = json!({
        "repositoryArn": "arn:aws:ecr:us-east-1:123456789012:repository/team/worker",
        "registryId": "123456789012",
        "repositoryName": "team/worker",
        "repositoryUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/worker",
        "createdAt": 1000.0,
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": false},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    });
    assert_eq!(made, json!({"repository": wanted}));
    let named = ask(&mut world, "DescribeRepositories", &json!({"repositoryNames": ["team/worker"]}));
    assert_eq!(named, Ok(json!({"repositories": [wanted]})));
    put(&mut world, "team/worker:1", 5, 0);
    let body = json!({"repositoryName": "team/worker", "force": true});
    assert_eq!(ask(&mut world, "DeleteRepository", &body), Ok(json!({"repository": wanted})));
    assert_eq!(ask(&mut world, "DescribeRepositories", &json!({})), Ok(json!({"repositories": []})));
}

#[test]
fn repositories_come_in_pages() {
    let mut world = World::default();
    for name in ["aa", "bb", "cc"] {
        ask(&mut world, "CreateRepository", &json!({"repositoryName": name})).unwrap();
    }
    let first = ask(&mut world, "DescribeRepositories", &json!({"maxResults": 2})).unwrap();
    let next = json!({"maxResults": 2, "nextToken": first["nextToken"]});
    let second = ask(&mut world, "DescribeRepositories", &next).unwrap();
    assert_eq!((names(&first).as_str(), names(&second).as_str()), ("aa bb", "cc"));
    assert_eq!(second.get("nextToken"), None);
}

#[test]
fn a_repository_may_be_called_as_docker_allows() {
    for (name, may) in [
        ("ab", true),
        ("team/sub/worker-1", true),
        ("a.b_c__d--e", true),
        ("a", false),
        ("Team", false),
        ("a..b", false),
        ("a___b", false),
        ("a.-b", false),
        ("-ab", false),
        ("ab/", false),
        ("/ab", false),
        ("a//b", false),
        ("ab:1", false),
    ] {
        assert_eq!(is_name(name), may, "{name}");
    }
}

#[test]
fn the_token_is_the_registrys_password_for_twelve_hours() {
    let answer = ask(&mut World::default(), "GetAuthorizationToken", &json!({})).unwrap();
    let data = &answer["authorizationData"][0];
    let token = STANDARD.decode(data["authorizationToken"].as_str().unwrap()).unwrap();
    assert_eq!(token, format!("AWS:{PASSWORD}").as_bytes());
    assert_eq!(data["expiresAt"], 1_000.0 + 43_200.0);
    assert_eq!(data["proxyEndpoint"], "https://123456789012.dkr.ecr.us-east-1.amazonaws.com");
}

#[test]
fn an_image_is_found_by_tag_and_by_digest() {
    let mut world = World::default();
    put(&mut world, "team/worker:1", 5, 2);
    let by = |id: Value| json!({"repositoryName": "team/worker", "imageIds": [id]});
    let found = ask(&mut world, "DescribeImages", &by(json!({"imageTag": "1"}))).unwrap();
    let image = &found["imageDetails"][0];
    assert_eq!((&image["imageSizeInBytes"], &image["imagePushedAt"]), (&json!(5), &json!(2.0)));
    assert_eq!((&image["imageTags"], &image["registryId"]), (&json!(["1"]), &json!("123456789012")));
    let digest = image["imageDigest"].as_str().unwrap();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    for id in [json!({"imageDigest": digest}), json!({"imageDigest": digest, "imageTag": "1"})] {
        assert_eq!(ask(&mut world, "DescribeImages", &by(id)), Ok(found.clone()));
    }
    let other = by(json!({"imageDigest": digest, "imageTag": "2"}));
    assert_eq!(ask(&mut world, "DescribeImages", &other), Err("ImageNotFoundException".to_owned()));
}

#[test]
fn a_tag_that_is_set_anew_leaves_the_old_image_without_one() {
    let mut world = World::default();
    put(&mut world, "worker:1", 5, 1);
    put(&mut world, "worker:1", 6, 2);
    put(&mut world, "worker:2", 7, 3);
    for (filter, wanted) in [
        (json!({}), "-=5 1=6 2=7"),
        (json!({"tagStatus": "ANY"}), "-=5 1=6 2=7"),
        (json!({"tagStatus": "TAGGED"}), "1=6 2=7"),
        (json!({"tagStatus": "UNTAGGED"}), "-=5"),
    ] {
        let answer = ask(&mut world, "DescribeImages", &json!({"repositoryName": "worker", "filter": filter})).unwrap();
        assert_eq!(images_in(&answer), wanted, "{filter}");
    }
    put(&mut world, "worker:1", 5, 4);
    let state = &mut world.region("us-east-1").ecr;
    assert!(images::remove(state, &"worker:1".parse().unwrap()));
    assert!(!images::remove(state, &"worker:1".parse().unwrap()));
    let left = ask(&mut world, "DescribeImages", &json!({"repositoryName": "worker"})).unwrap();
    assert_eq!(images_in(&left), "-=6 2=7");
}
