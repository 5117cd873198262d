use serde_json::json;

use super::*;
use crate::sandbox::world::World;

const START: i64 = 1_000;
const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs";

/// Asked so many seconds after the start.
fn ask_at(world: &mut World, second: i64, operation: &str, body: &Value) -> Result<Value, String> {
    let now = Timestamp::from_second(START + second).unwrap();
    let mut call = Call { world, region: "us-east-1".to_owned(), now, operation: operation.to_owned() };
    handle(&mut call, body.to_string().as_bytes()).map_err(|error| error.code)
}

fn ask(world: &mut World, operation: &str, body: &Value) -> Result<Value, String> {
    ask_at(world, 0, operation, body)
}

fn with_queue(attributes: &Value) -> World {
    let mut world = World::default();
    ask(&mut world, "CreateQueue", &json!({"QueueName": "jobs", "Attributes": attributes})).unwrap();
    world
}

fn of_queue(fields: Value) -> Value {
    let mut body = fields;
    body["QueueUrl"] = json!(URL);
    body
}

fn send_at(world: &mut World, second: i64, body: &str) {
    ask_at(world, second, "SendMessage", &of_queue(json!({"MessageBody": body}))).unwrap();
}

/// The bodies and the handles that a receive of ten gets.
fn receive_at(world: &mut World, second: i64) -> Vec<(String, String)> {
    let answer = ask_at(world, second, "ReceiveMessage", &of_queue(json!({"MaxNumberOfMessages": 10}))).unwrap();
    let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| (text(message, "Body"), text(message, "ReceiptHandle"))).collect()
}

fn bodies_at(world: &mut World, second: i64) -> String {
    receive_at(world, second).into_iter().map(|(body, _)| body).collect::<Vec<_>>().join(" ")
}

/// Visible, in flight, delayed.
fn counts_at(world: &mut World, second: i64) -> String {
    let asked = of_queue(json!({"AttributeNames": ["All"]}));
    let has = ask_at(world, second, "GetQueueAttributes", &asked).unwrap()["Attributes"].clone();
    let names = ["", "NotVisible", "Delayed"].map(|kind| format!("ApproximateNumberOfMessages{kind}"));
    names.map(|name| has[name].as_str().unwrap().to_owned()).join(" ")
}

#[test]
fn what_sqs_would_refuse_is_refused() {
    let mut world = with_queue(&json!({"MaximumMessageSize": "1024"}));
    let create = |name: &str, key: &str, value: &str| json!({"QueueName": name, "Attributes": {key: value}});
    let attribute = |name: &str, kind: &str, value: &str| {
        let value = json!({"DataType": kind, "StringValue": value});
        of_queue(json!({"MessageBody": "m", "MessageAttributes": {name: value}}))
    };
    let entry = |id: &str| json!({"Id": id, "MessageBody": "m"});
    let eleven: Vec<Value> = (0..11).map(|index| entry(&index.to_string())).collect();
    let large: Vec<Value> =
        (0..2).map(|id| json!({"Id": id.to_string(), "MessageBody": "x".repeat(600_000)})).collect();
    let invalid = "InvalidParameterValueException";
    let table = [
        ("CreateQueue", json!({"QueueName": "a.fifo"}), "UnsupportedOperation"),
        ("CreateQueue", create("a", "FifoQueue", "true"), "UnsupportedOperation"),
        ("CreateQueue", create("a", "RedrivePolicy", "{}"), "UnsupportedOperation"),
        ("CreateQueue", create("a", "Colour", "red"), "InvalidAttributeName"),
        ("CreateQueue", create("a", "VisibilityTimeout", "43201"), "InvalidAttributeValue"),
        ("CreateQueue", create("a", "DelaySeconds", "901"), "InvalidAttributeValue"),
        ("CreateQueue", create("a", "MessageRetentionPeriod", "59"), "InvalidAttributeValue"),
        ("CreateQueue", create("a", "ReceiveMessageWaitTimeSeconds", "21"), "InvalidAttributeValue"),
        ("CreateQueue", create("a", "SqsManagedSseEnabled", "yes"), "InvalidAttributeValue"),
        ("CreateQueue", create("jobs", "VisibilityTimeout", "31"), "QueueNameExists"),
        ("CreateQueue", json!({"QueueName": "a b"}), invalid),
        ("CreateQueue", json!({"QueueName": "a".repeat(81)}), invalid),
        ("CreateQueue", json!({"QueueName": "a", "tags": {"k": "v"}}), "ValidationException"),
        ("GetQueueUrl", json!({"QueueName": "none"}), "QueueDoesNotExist"),
        ("GetQueueUrl", json!({"QueueName": "jobs", "QueueOwnerAWSAccountId": "999999999999"}), "QueueDoesNotExist"),
        ("ListQueues", json!({"MaxResults": 1001}), invalid),
        ("ListQueues", json!({"NextToken": "nonsense"}), invalid),
        ("GetQueueAttributes", of_queue(json!({"AttributeNames": ["Colour"]})), "InvalidAttributeName"),
        ("SetQueueAttributes", of_queue(json!({"Attributes": {"Policy": "{}"}})), "UnsupportedOperation"),
        ("SendMessage", of_queue(json!({"MessageBody": ""})), "MissingRequiredParameterException"),
        ("SendMessage", of_queue(json!({"MessageBody": "\u{1}"})), "InvalidMessageContents"),
        ("SendMessage", of_queue(json!({"MessageBody": "x".repeat(1025)})), invalid),
        ("SendMessage", of_queue(json!({"MessageBody": "m", "DelaySeconds": 901})), invalid),
        ("SendMessage", of_queue(json!({"MessageBody": "m", "MessageGroupId": "g"})), "ValidationException"),
        ("SendMessage", attribute("a", "Text", "v"), invalid),
        ("SendMessage", attribute("a", "String", ""), invalid),
        ("SendMessage", attribute("a", "Number", "many"), invalid),
        ("SendMessage", attribute("a", "Binary", "v"), invalid),
        ("SendMessage", attribute("AWS.a", "String", "v"), invalid),
        ("SendMessage", attribute("a..b", "String", "v"), invalid),
        ("SendMessage", attribute("a", "String", &"x".repeat(1020)), invalid),
        ("SendMessageBatch", of_queue(json!({"Entries": []})), "EmptyBatchRequest"),
        ("SendMessageBatch", of_queue(json!({"Entries": eleven})), "TooManyEntriesInBatchRequest"),
        ("SendMessageBatch", of_queue(json!({"Entries": [entry("a"), entry("a")]})), "BatchEntryIdsNotDistinct"),
        ("SendMessageBatch", of_queue(json!({"Entries": [entry("a:b")]})), "InvalidBatchEntryId"),
        ("SendMessageBatch", of_queue(json!({"Entries": large})), "BatchRequestTooLong"),
        ("ReceiveMessage", of_queue(json!({"MaxNumberOfMessages": 0})), invalid),
        ("ReceiveMessage", of_queue(json!({"MaxNumberOfMessages": 11})), invalid),
        ("ReceiveMessage", of_queue(json!({"VisibilityTimeout": 43_201})), invalid),
        ("ReceiveMessage", of_queue(json!({"WaitTimeSeconds": 21})), invalid),
        ("ReceiveMessage", of_queue(json!({"AttributeNames": ["Colour"]})), "InvalidAttributeName"),
        ("DeleteMessage", of_queue(json!({"ReceiptHandle": "nonsense"})), "ReceiptHandleIsInvalid"),
        (
            "ChangeMessageVisibility",
            of_queue(json!({"ReceiptHandle": "nonsense", "VisibilityTimeout": 1})),
            "ReceiptHandleIsInvalid",
        ),
        ("AddPermission", json!({}), "InvalidAction"),
    ];
    for (operation, body, wanted) in table {
        assert_eq!(ask(&mut world, operation, &body), Err(wanted.to_owned()), "{operation} {body}");
    }
    assert_eq!(counts_at(&mut world, 0), "0 0 0");
}

#[test]
fn a_url_names_its_queue_whatever_its_host() {
    let table = [
        (URL, "jobs"),
        ("http://127.0.0.1:4566/123456789012/jobs", "jobs"),
        ("http://queues:1/behind/a/path/123456789012/jobs", "jobs"),
        ("https://sqs.us-east-1.amazonaws.com/999999999999/jobs", "QueueDoesNotExist"),
        ("https://sqs.us-east-1.amazonaws.com/jobs", "InvalidAddress"),
        ("https://sqs.us-east-1.amazonaws.com/123456789012", "InvalidAddress"),
        ("123456789012/jobs", "InvalidAddress"),
        ("jobs", "InvalidAddress"),
        ("", "InvalidAddress"),
    ];
    for (url, wanted) in table {
        let found = name_in(url).map_or_else(|error| error.code, str::to_owned);
        assert_eq!(found, wanted, "{url}");
    }
}

#[test]
fn a_queue_made_again_is_the_same_one_unless_it_would_be_another() {
    let mut world = with_queue(&json!({"VisibilityTimeout": "20"}));
    send_at(&mut world, 0, "m");
    for attributes in [json!({}), json!({"VisibilityTimeout": "20"}), json!({"DelaySeconds": "0"})] {
        let answer = ask(&mut world, "CreateQueue", &json!({"QueueName": "jobs", "Attributes": attributes}));
        assert_eq!(answer, Ok(json!({"QueueUrl": URL})), "{attributes}");
    }
    assert_eq!(counts_at(&mut world, 0), "1 0 0");
}

#[test]
fn a_deleted_queue_leaves_its_name_taken_for_a_minute() {
    let mut world = with_queue(&json!({}));
    ask(&mut world, "DeleteQueue", &of_queue(json!({}))).unwrap();
    assert_eq!(ask(&mut world, "DeleteQueue", &of_queue(json!({}))), Err("QueueDoesNotExist".to_owned()));
    let again = json!({"QueueName": "jobs"});
    assert_eq!(ask_at(&mut world, 59, "CreateQueue", &again), Err("QueueDeletedRecently".to_owned()));
    assert!(ask_at(&mut world, 60, "CreateQueue", &again).is_ok());
}

#[test]
fn queues_are_listed_by_prefix_and_in_pages() {
    let mut world = World::default();
    assert_eq!(ask(&mut world, "ListQueues", &json!({})), Ok(json!({})));
    for name in ["a", "b-1", "b-2", "b-3", "c"] {
        ask(&mut world, "CreateQueue", &json!({"QueueName": name})).unwrap();
    }
    let names = |answer: &Value| {
        let urls = answer["QueueUrls"].as_array().cloned().unwrap_or_default();
        urls.iter()
            .map(|url| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let first = ask(&mut world, "ListQueues", &json!({"QueueNamePrefix": "b", "MaxResults": 2})).unwrap();
    assert_eq!(names(&first), "b-1 b-2");
    let next = json!({"QueueNamePrefix": "b", "MaxResults": 2, "NextToken": first["NextToken"]});
    let second = ask(&mut world, "ListQueues", &next).unwrap();
    assert_eq!((names(&second).as_str(), second.get("NextToken")), ("b-3", None));
    assert_eq!(names(&ask(&mut world, "ListQueues", &json!({})).unwrap()), "a b-1 b-2 b-3 c");
}

#[test]
fn settings_are_the_defaults_until_they_are_set() {
    let mut world = with_queue(&json!({"VisibilityTimeout": "7"}));
    let asked = of_queue(json!({"AttributeNames": ["All"]}));
    let wanted = json!({
        "QueueArn": "arn:aws:sqs:us-east-1:123456789012:jobs",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "CreatedTimestamp": "1000",
        "LastModifiedTimestamp": "1000",
        "VisibilityTimeout": "7",
        "DelaySeconds": "0",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "MaximumMessageSize": "1048576",
        "SqsManagedSseEnabled": "true",
    });
    assert_eq!(ask(&mut world, "GetQueueAttributes", &asked), Ok(json!({"Attributes": wanted})));
    let change = of_queue(json!({"Attributes": {"VisibilityTimeout": "8", "DelaySeconds": "9"}}));
    ask_at(&mut world, 5, "SetQueueAttributes", &change).unwrap();
    let some =
        of_queue(json!({"AttributeNames": ["VisibilityTimeout", "DelaySeconds", "LastModifiedTimestamp", "Policy"]}));
    let has = json!({"VisibilityTimeout": "8", "DelaySeconds": "9", "LastModifiedTimestamp": "1005"});
    assert_eq!(ask(&mut world, "GetQueueAttributes", &some), Ok(json!({"Attributes": has})));
    assert_eq!(ask(&mut world, "GetQueueAttributes", &of_queue(json!({}))), Ok(json!({})));
}

#[test]
fn a_message_moves_by_the_clock_from_delayed_to_visible_to_in_flight_and_back() {
    let mut world = with_queue(&json!({"VisibilityTimeout": "30", "MessageRetentionPeriod": "100"}));
    ask(&mut world, "SendMessage", &of_queue(json!({"MessageBody": "late", "DelaySeconds": 10}))).unwrap();
    send_at(&mut world, 0, "soon");
    // When, who is received, and where the messages are after that.
    let table = [
        (0, "soon", "0 1 1"),
        (9, "", "0 1 1"),
        (10, "late", "0 2 0"),
        (29, "", "0 2 0"),
        (30, "soon", "0 2 0"),
        (40, "late", "0 2 0"),
        (99, "late soon", "0 2 0"),
        (100, "", "0 0 0"),
    ];
    for (second, bodies, counts) in table {
        assert_eq!(bodies_at(&mut world, second), bodies, "after {second} s");
        assert_eq!(counts_at(&mut world, second), counts, "after {second} s");
    }
}

#[test]
fn a_queue_delays_what_says_nothing_else() {
    let mut world = with_queue(&json!({"DelaySeconds": "5"}));
    send_at(&mut world, 0, "queue's");
    ask(&mut world, "SendMessage", &of_queue(json!({"MessageBody": "own", "DelaySeconds": 0}))).unwrap();
    assert_eq!(bodies_at(&mut world, 4), "own");
    assert_eq!(bodies_at(&mut world, 5), "queue's");
}

#[test]
fn a_receive_takes_as_many_as_it_asks_for_and_hides_them_as_long() {
    let mut world = with_queue(&json!({}));
    for body in ["1", "2", "3"] {
        send_at(&mut world, 0, body);
    }
    let one = ask(&mut world, "ReceiveMessage", &of_queue(json!({"WaitTimeSeconds": 20}))).unwrap();
    assert_eq!(one["Messages"].as_array().map(Vec::len), Some(1));
    let short = of_queue(json!({"MaxNumberOfMessages": 2, "VisibilityTimeout": 3}));
    ask(&mut world, "ReceiveMessage", &short).unwrap();
    assert_eq!(bodies_at(&mut world, 2), "");
    assert_eq!(bodies_at(&mut world, 3), "2 3");
}

#[test]
fn only_the_last_receive_of_a_message_can_delete_it() {
    let mut world = with_queue(&json!({}));
    send_at(&mut world, 0, "m");
    let old = receive_at(&mut world, 0).remove(0).1;
    let new = receive_at(&mut world, 30).remove(0).1;
    let delete = |world: &mut World, handle: &str| {
        ask_at(world, 31, "DeleteMessage", &of_queue(json!({"ReceiptHandle": handle}))).unwrap();
        counts_at(world, 31)
    };
    assert_eq!(delete(&mut world, &old), "0 1 0");
    assert_eq!(delete(&mut world, &new), "0 0 0");
    assert_eq!(delete(&mut world, &new), "0 0 0");
}

#[test]
fn a_handle_is_good_for_its_own_queue_only() {
    let mut world = with_queue(&json!({}));
    send_at(&mut world, 0, "m");
    let handle = receive_at(&mut world, 0).remove(0).1;
    ask(&mut world, "DeleteQueue", &of_queue(json!({}))).unwrap();
    ask_at(&mut world, 60, "CreateQueue", &json!({"QueueName": "jobs"})).unwrap();
    ask(&mut world, "CreateQueue", &json!({"QueueName": "more"})).unwrap();
    for name in ["jobs", "more"] {
        let body = json!({"QueueUrl": format!("http://h/123456789012/{name}"), "ReceiptHandle": handle});
        assert_eq!(ask(&mut world, "DeleteMessage", &body), Err("ReceiptHandleIsInvalid".to_owned()), "{name}");
    }
}

#[test]
fn a_message_in_hand_is_hidden_longer_or_given_back() {
    let mut world = with_queue(&json!({}));
    send_at(&mut world, 0, "m");
    let handle = receive_at(&mut world, 0).remove(0).1;
    let mut hide = |second: i64, timeout: i64| {
        let body = of_queue(json!({"ReceiptHandle": handle, "VisibilityTimeout": timeout}));
        let said = ask_at(&mut world, second, "ChangeMessageVisibility", &body).err().unwrap_or_default();
        (said, counts_at(&mut world, second + 1))
    };
    let said = |code: &str, counts: &str| (code.to_owned(), counts.to_owned());
    assert_eq!(hide(20, 100), said("", "0 1 0"));
    assert_eq!(hide(60, 43_141), said("InvalidParameterValueException", "0 1 0"));
    assert_eq!(hide(60, 43_201), said("InvalidParameterValueException", "0 1 0"));
    // Its visibility has ended, but nobody else has it.
    assert_eq!(hide(121, 10), said("", "0 1 0"));
    assert_eq!(hide(122, 0), said("", "1 0 0"));
    assert_eq!(hide(124, 10), said("MessageNotInflight", "1 0 0"));
    receive_at(&mut world, 130);
    let body = of_queue(json!({"ReceiptHandle": handle, "VisibilityTimeout": 1}));
    let outdated = ask_at(&mut world, 131, "ChangeMessageVisibility", &body);
    assert_eq!(outdated, Err("InvalidParameterValueException".to_owned()));
}

#[test]
fn entries_of_a_batch_fail_alone() {
    let mut world = with_queue(&json!({}));
    let entries = json!([
        {"Id": "good", "MessageBody": "m"},
        {"Id": "late", "MessageBody": "m", "DelaySeconds": 901},
    ]);
    let answer = ask(&mut world, "SendMessageBatch", &of_queue(json!({"Entries": entries}))).unwrap();
    assert_eq!((&answer["Successful"][0]["Id"], &answer["Failed"][0]["Id"]), (&json!("good"), &json!("late")));
    assert_eq!(answer["Failed"][0]["Code"], "InvalidParameterValue");
    let handle = receive_at(&mut world, 0).remove(0).1;
    let entries = json!([{"Id": "a", "ReceiptHandle": handle}, {"Id": "b", "ReceiptHandle": "nonsense"}]);
    let answer = ask(&mut world, "DeleteMessageBatch", &of_queue(json!({"Entries": entries}))).unwrap();
    assert_eq!(answer["Successful"], json!([{"Id": "a"}]));
    assert_eq!(
        (&answer["Failed"][0]["Id"], &answer["Failed"][0]["Code"]),
        (&json!("b"), &json!("ReceiptHandleIsInvalid"))
    );
    assert_eq!(counts_at(&mut world, 0), "0 0 0");
}

#[test]
fn a_queue_is_purged_once_a_minute() {
    let mut world = with_queue(&json!({}));
    let purge = |world: &mut World, second| ask_at(world, second, "PurgeQueue", &of_queue(json!({})));
    send_at(&mut world, 0, "visible");
    receive_at(&mut world, 0);
    ask(&mut world, "SendMessage", &of_queue(json!({"MessageBody": "late", "DelaySeconds": 10}))).unwrap();
    assert_eq!(purge(&mut world, 0), Ok(json!({})));
    assert_eq!(counts_at(&mut world, 0), "0 0 0");
    assert_eq!(purge(&mut world, 59), Err("PurgeQueueInProgress".to_owned()));
    assert_eq!(purge(&mut world, 60), Ok(json!({})));
}

/// The digests are those that AWS itself gave for these messages.
#[test]
fn digests_are_as_aws_computes_them_of_what_is_handed_out() {
    let mut world = with_queue(&json!({}));
    let text = |value: &str| json!({"DataType": "String", "StringValue": value});
    let attributes = json!({"General": text("Kenobi"), "Hello": text("There"), "Help.Me": text("Me")});
    let body = of_queue(json!({"MessageBody": "msg", "MessageAttributes": attributes}));
    let sent = ask(&mut world, "SendMessage", &body).unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
    assert_eq!(sent["MD5OfMessageAttributes"], "4c360f3fdafd970e05fae2f149d997f5");
    let table = [
        (json!([]), "", ""),
        (json!(["All"]), "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"),
        (json!([".*"]), "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"),
        (json!(["Hello", "None"]), "Hello", "a311262e065454b75da111d535b8dacd"),
        (json!(["Hello", "General"]), "General Hello", "fca026605781cb4126a1e9044df24232"),
        (json!(["Hel.*"]), "Hello Help.Me", "83fee93c1bcd8b9a5a923ffacdc636c7"),
    ];
    for (names, wanted, digest) in table {
        let body = of_queue(json!({"MessageAttributeNames": names, "VisibilityTimeout": 0}));
        let message = ask(&mut world, "ReceiveMessage", &body).unwrap()["Messages"][0].clone();
        let found: Vec<&String> =
            message["MessageAttributes"].as_object().into_iter().flat_map(|map| map.keys()).collect();
        assert_eq!(found.into_iter().cloned().collect::<Vec<_>>().join(" "), wanted, "{names}");
        assert_eq!(message["MD5OfMessageAttributes"].as_str().unwrap_or_default(), digest, "{names}");
    }
    let bytes = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01";
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let binary = json!({"attr1": {"DataType": "Binary", "BinaryValue": encoded}});
    let body = of_queue(json!({"MessageBody": "test", "MessageAttributes": binary}));
    let sent = ask(&mut world, "SendMessage", &body).unwrap();
    assert_eq!(sent["MD5OfMessageAttributes"], "8cbe4db156db8a94db8b801b7addb984");
}

#[test]
fn a_message_says_of_its_way_what_is_asked() {
    let mut world = with_queue(&json!({"VisibilityTimeout": "0"}));
    send_at(&mut world, 0, "m");
    receive_at(&mut world, 3);
    let all = json!({
        "SenderId": "AIDASANDBOXSANDBOXSAN", "SentTimestamp": "1000000", "ApproximateReceiveCount": "2",
        "ApproximateFirstReceiveTimestamp": "1003000",
    });
    for (field, names, wanted) in [
        ("AttributeNames", json!(["All"]), all),
        ("MessageSystemAttributeNames", json!(["ApproximateReceiveCount"]), json!({"ApproximateReceiveCount": "3"})),
        ("AttributeNames", json!(["SequenceNumber"]), Value::Null),
    ] {
        let answer = ask_at(&mut world, 4, "ReceiveMessage", &of_queue(json!({field: names}))).unwrap();
        assert_eq!(answer["Messages"][0]["Attributes"], wanted, "{field}");
    }
}
