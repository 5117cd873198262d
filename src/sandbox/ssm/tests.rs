use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::sandbox::world::World;

fn ask(world: &mut World, operation: &str, body: &Value) -> Result<Value, String> {
    let now = Timestamp::from_second(1_000).unwrap();
    let mut call = Call { world, region: "us-east-1".to_owned(), now, operation: operation.to_owned() };
    handle(&mut call, body.to_string().as_bytes()).map_err(|error| error.code)
}

fn put(world: &mut World, name: &str, value: &str, kind: &str) {
    ask(world, "PutParameter", &json!({"Name": name, "Value": value, "Type": kind})).unwrap();
}

#[test]
fn what_parameter_store_would_refuse_is_refused() {
    let mut world = World::default();
    put(&mut world, "/a/old", "v", "String");
    let tag = json!([{"Key": "k", "Value": "v"}]);
    let table = [
        (json!({"Name": "/a/old", "Value": "w", "Type": "String"}), "ParameterAlreadyExists"),
        (
            json!({"Name": "/a/old", "Value": "w", "Type": "SecureString", "Overwrite": true}),
            "HierarchyTypeMismatchException",
        ),
        (json!({"Name": "/a/b", "Value": "w"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "w", "Overwrite": true}), "ValidationException"),
        (
            json!({"Name": "/a/b", "Value": "w", "Type": "String", "Overwrite": true, "Tags": tag}),
            "ValidationException",
        ),
        (json!({"Name": "/a/b", "Value": "", "Type": "String"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x{{y", "Type": "String"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x".repeat(4097), "Type": "String"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x", "Type": "Text"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x", "Type": "String", "KeyId": "alias/k"}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x", "Type": "String", "Unknown": 1}), "ValidationException"),
        (json!({"Name": "/a/b", "Value": "x", "Type": "String", "AllowedPattern": "^x$"}), "ValidationException"),
        (json!({"Name": "a/b", "Value": "x", "Type": "String"}), "ValidationException"),
        (json!({"Name": "/ssm/b", "Value": "x", "Type": "String"}), "ValidationException"),
        (json!({"Name": "awsome", "Value": "x", "Type": "String"}), "ValidationException"),
        (json!({"Name": "/aws/b", "Value": "x", "Type": "String"}), "AccessDeniedException"),
        (json!({"Name": "/a b", "Value": "x", "Type": "String"}), "ValidationException"),
        (
            json!({"Name": "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "Value": "x", "Type": "String"}),
            "HierarchyLevelLimitExceededException",
        ),
    ];
    for (body, wanted) in table {
        assert_eq!(ask(&mut world, "PutParameter", &body), Err(wanted.to_owned()), "{body}");
    }
    put(&mut world, "/a/AWS_REGION", "x", "String");
    let without = json!({"Name": "/a/c", "Value": "x", "Type": "String", "AllowedPattern": ""});
    assert!(ask(&mut world, "PutParameter", &without).is_ok(), "an empty pattern is none");
    assert_eq!(ask(&mut world, "GetParameterHistory", &json!({"Name": "/a/old"})), Err("InvalidAction".to_owned()));
}

#[test]
fn versions_count_and_can_be_asked_for() {
    let mut world = World::default();
    put(&mut world, "/a", "1", "SecureString");
    let answer = ask(&mut world, "PutParameter", &json!({"Name": "/a", "Value": "2", "Overwrite": true})).unwrap();
    assert_eq!(answer, json!({"Version": 2, "Tier": "Standard"}));
    for (name, wanted) in [
        ("/a", Ok("2")),
        ("/a:1", Ok("1")),
        ("/a:2", Ok("2")),
        ("/a:3", Err("ParameterVersionNotFound")),
        ("/b", Err("ParameterNotFound")),
    ] {
        let answer = ask(&mut world, "GetParameter", &json!({"Name": name, "WithDecryption": true}))
            .map(|answer| answer["Parameter"]["Value"].as_str().unwrap().to_owned());
        assert_eq!(answer, wanted.map(str::to_owned).map_err(str::to_owned), "{name}");
    }
    let hidden = ask(&mut world, "GetParameter", &json!({"Name": "/a"})).unwrap();
    assert!(hidden["Parameter"]["Value"].as_str().unwrap().len() > 20, "{hidden}");
    assert_eq!(hidden["Parameter"]["LastModifiedDate"], 1000.0);
    assert_eq!(hidden["Parameter"]["ARN"], "arn:aws:ssm:us-east-1:123456789012:parameter/a");
}

#[test]
fn many_at_once_name_what_is_missing() {
    let mut world = World::default();
    put(&mut world, "/a", "1", "String");
    let answer = ask(&mut world, "GetParameters", &json!({"Names": ["/a", "/b"]})).unwrap();
    assert_eq!((&answer["Parameters"][0]["Name"], &answer["InvalidParameters"]), (&json!("/a"), &json!(["/b"])));
    let eleven: Vec<String> = (0..11).map(|index| format!("/n{index}")).collect();
    for operation in ["GetParameters", "DeleteParameters"] {
        assert_eq!(ask(&mut world, operation, &json!({"Names": eleven})), Err("ValidationException".to_owned()));
    }
    let answer = ask(&mut world, "DeleteParameters", &json!({"Names": ["/a", "/b"]})).unwrap();
    assert_eq!(answer, json!({"DeletedParameters": ["/a"], "InvalidParameters": ["/b"]}));
    assert_eq!(ask(&mut world, "DeleteParameter", &json!({"Name": "/a"})), Err("ParameterNotFound".to_owned()));
}

#[test]
fn a_path_is_read_in_pages_and_a_full_last_page_has_a_token() {
    let mut world = World::default();
    for index in 0..4 {
        put(&mut world, &format!("/p/n{index}"), "v", "String");
    }
    put(&mut world, "/p/deep/er", "v", "String");
    put(&mut world, "/pp/n", "v", "String");
    for (recursive, wanted) in [(false, vec![2, 2, 0]), (true, vec![2, 2, 1])] {
        let (mut sizes, mut token) = (Vec::new(), None);
        loop {
            let mut body = json!({"Path": "/p", "Recursive": recursive, "MaxResults": 2});
            if let Some(token) = token {
                body["NextToken"] = token;
            }
            let answer = ask(&mut world, "GetParametersByPath", &body).unwrap();
            sizes.push(answer["Parameters"].as_array().unwrap().len());
            token = answer.get("NextToken").cloned();
            if token.is_none() {
                break;
            }
        }
        assert_eq!(sizes, wanted, "recursive {recursive}");
    }
    for body in [json!({"Path": "p"}), json!({"Path": "/p", "MaxResults": 11}), json!({"Path": "/p", "MaxResults": 0})]
    {
        assert_eq!(ask(&mut world, "GetParametersByPath", &body), Err("ValidationException".to_owned()));
    }
}

#[test]
fn parameters_are_described_by_filters_and_tagged() {
    let mut world = World::default();
    let tags = json!([{"Key": "team", "Value": "x"}]);
    ask(&mut world, "PutParameter", &json!({"Name": "/a/b", "Value": "v", "Type": "SecureString", "Tags": tags}))
        .unwrap();
    put(&mut world, "/a/b/c", "v", "String");
    put(&mut world, "plain", "v", "String");
    let table = [
        (json!([]), Ok("/a/b /a/b/c plain")),
        (json!([{"Key": "Name", "Values": ["/a/b"]}]), Ok("/a/b")),
        (json!([{"Key": "Name", "Option": "Contains", "Values": ["b"]}]), Ok("/a/b /a/b/c")),
        (json!([{"Key": "Path", "Option": "Recursive", "Values": ["/a"]}]), Ok("/a/b /a/b/c")),
        (json!([{"Key": "Path", "Values": ["/a"]}]), Ok("/a/b")),
        (json!([{"Key": "Type", "Values": ["String"]}]), Ok("/a/b/c plain")),
        (json!([{"Key": "tag:team", "Values": ["x"]}]), Ok("/a/b")),
        (json!([{"Key": "tag:team", "Values": ["y"]}]), Ok("")),
        (json!([{"Key": "Colour", "Values": ["y"]}]), Err("InvalidFilterKey")),
        (json!([{"Key": "Path", "Option": "Equals", "Values": ["/a"]}]), Err("InvalidFilterOption")),
        (json!([{"Key": "Name"}]), Err("InvalidFilterValue")),
    ];
    for (filters, wanted) in table {
        let answer = ask(&mut world, "DescribeParameters", &json!({"ParameterFilters": filters})).map(|answer| {
            let names: Vec<_> =
                answer["Parameters"].as_array().unwrap().iter().map(|found| found["Name"].as_str().unwrap()).collect();
            names.join(" ")
        });
        assert_eq!(answer, wanted.map(str::to_owned).map_err(str::to_owned), "{filters}");
    }
    let of = |id: &str| json!({"ResourceType": "Parameter", "ResourceId": id});
    let mut add = of("/a/b");
    add["Tags"] = json!([{"Key": "more", "Value": ""}]);
    ask(&mut world, "AddTagsToResource", &add).unwrap();
    let mut remove = of("/a/b");
    remove["TagKeys"] = json!(["team"]);
    ask(&mut world, "RemoveTagsFromResource", &remove).unwrap();
    let list = ask(&mut world, "ListTagsForResource", &of("/a/b")).unwrap();
    assert_eq!(list, json!({"TagList": [{"Key": "more", "Value": ""}]}));
    assert_eq!(ask(&mut world, "ListTagsForResource", &of("/none")), Err("InvalidResourceId".to_owned()));
}

#[test]
fn images_resolve_from_plain_parameters_only() {
    let mut world = World::default();
    put(&mut world, "/image", "ami-1", "String");
    put(&mut world, "/secret", "ami-2", "SecureString");
    let public = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id";
    let now = Timestamp::from_second(1).unwrap();
    let call = Call { world: &mut world, region: "us-east-1".to_owned(), now, operation: String::new() };
    assert_eq!(plain_value(&call, "/image").as_deref(), Some("ami-1"));
    assert_eq!(plain_value(&call, "/image:2"), None);
    assert_eq!(plain_value(&call, "/secret"), None);
    assert!(plain_value(&call, public).is_some_and(|image| image.starts_with("ami-")));
    assert_eq!(plain_value(&call, "/aws/service/none"), None);
}
