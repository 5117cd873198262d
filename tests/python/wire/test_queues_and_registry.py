"""SQS and ECR."""
import base64
import hashlib
import os
import struct
import time

import pytest
from conftest import until, weather

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def queue(sqs, request):
    """The URL of a queue of the test's own."""
    name = request.node.name.replace("_", "-")[:80]
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def md5_of_attributes(attributes):
    """As AWS's documentation has it: name, type, kind and value, each text behind its length."""
    digest = hashlib.md5()
    for name in sorted(attributes):
        kind = attributes[name]["DataType"]
        is_binary = kind.startswith("Binary")
        value = attributes[name]["BinaryValue"] if is_binary else attributes[name]["StringValue"].encode()
        for part in (name.encode(), kind.encode()):
            digest.update(struct.pack(">I", len(part)) + part)
        digest.update(b"\x02" if is_binary else b"\x01")
        digest.update(struct.pack(">I", len(value)) + value)
    return digest.hexdigest()


def counts(sqs, url):
    """Visible, in flight, delayed."""
    has = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return [int(has[f"ApproximateNumberOfMessages{kind}"]) for kind in ("", "NotVisible", "Delayed")]


def test_a_queue_is_made_found_set_and_deleted(sqs, refused, cli):
    url = sqs.create_queue(QueueName="wire-life", Attributes={"VisibilityTimeout": "20"})["QueueUrl"]
    assert url == "https://sqs.us-east-1.amazonaws.com/123456789012/wire-life"
    assert sqs.create_queue(QueueName="wire-life", Attributes={"VisibilityTimeout": "20"})["QueueUrl"] == url
    other = refused(sqs.create_queue, QueueName="wire-life", Attributes={"VisibilityTimeout": "21"})
    assert other == ("QueueAlreadyExists", 400)
    assert sqs.get_queue_url(QueueName="wire-life")["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName="wire-life", QueueOwnerAWSAccountId="123456789012")["QueueUrl"] == url
    # For SQS alone version 1 of the CLI goes by an old host name unless its endpoint is on the command line.
    told = cli("--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "sqs", "get-queue-url", "--queue-name", "wire-life")
    assert told["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix="wire-life")["QueueUrls"] == [url]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="wire-none")

    change = {"DelaySeconds": "1", "MessageRetentionPeriod": "60", "ReceiveMessageWaitTimeSeconds": "20"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=change)
    has = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert change.items() <= has.items() and has["VisibilityTimeout"] == "20"
    assert has["QueueArn"] == "arn:aws:sqs:us-east-1:123456789012:wire-life"
    assert abs(int(has["CreatedTimestamp"]) - time.time()) < 60
    one = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert one == {"DelaySeconds": "1"}
    wrong = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"DelaySeconds": "901"})
    assert wrong == ("InvalidAttributeValue", 400)
    assert refused(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"]) == ("InvalidAttributeName", 400)

    sqs.delete_queue(QueueUrl=url)
    assert refused(sqs.delete_queue, QueueUrl=url) == ("AWS.SimpleQueueService.NonExistentQueue", 400)
    assert refused(sqs.create_queue, QueueName="wire-life") == ("AWS.SimpleQueueService.QueueDeletedRecently", 400)


def test_a_queue_that_is_not_there_is_an_error_of_its_own(sqs):
    for ask in (
        lambda: sqs.get_queue_url(QueueName="wire-none"),
        lambda: sqs.receive_message(QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/wire-none"),
    ):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
            ask()
        error = caught.value.response["Error"]
        assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue" and error["Type"] == "Sender"


def test_a_fifo_queue_is_refused(sqs):
    with pytest.raises(sqs.exceptions.UnsupportedOperation, match="standard queues only"):
        sqs.create_queue(QueueName="wire.fifo", Attributes={"FifoQueue": "true"})


def test_a_message_is_sent_received_and_deleted(sqs, queue, refused):
    attributes = {
        "Text": {"DataType": "String", "StringValue": "ä"},
        "Number": {"DataType": "Number.int", "StringValue": "3"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(QueueUrl=queue, MessageBody="ä $x \n", MessageAttributes=attributes)
    assert sent["MD5OfMessageBody"] == md5("ä $x \n")
    assert sent["MD5OfMessageAttributes"] == md5_of_attributes(attributes)
    assert counts(sqs, queue) == [1, 0, 0]
    got = sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        VisibilityTimeout=30,
        WaitTimeSeconds=20,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )["Messages"]
    assert len(got) == 1 and got[0]["Body"] == "ä $x \n" and got[0]["MD5OfBody"] == md5("ä $x \n")
    assert got[0]["MessageId"] == sent["MessageId"] and got[0]["MessageAttributes"] == attributes
    assert got[0]["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert got[0]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert counts(sqs, queue) == [0, 1, 0]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)

    handle = got[0]["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
    again = dict(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=5)
    assert refused(sqs.change_message_visibility, **again) == ("AWS.SimpleQueueService.MessageNotInflight", 400)
    second = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"], MessageAttributeNames=["Te.*"])["Messages"][0]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["MessageAttributes"] == {"Text": attributes["Text"]}
    assert second["MD5OfMessageAttributes"] == md5_of_attributes(second["MessageAttributes"])
    assert refused(sqs.change_message_visibility, **again) == ("InvalidParameterValue", 400)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)
    assert counts(sqs, queue) == [0, 1, 0]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"])
    assert counts(sqs, queue) == [0, 0, 0]
    nonsense = dict(QueueUrl=queue, ReceiptHandle="nonsense")
    assert refused(sqs.delete_message, **nonsense) == ("ReceiptHandleIsInvalid", 404)


def test_time_brings_a_message_back(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="late", DelaySeconds=1)
    assert counts(sqs, queue) == [0, 0, 1]
    until(lambda: sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1).get("Messages"))
    until(lambda: sqs.receive_message(QueueUrl=queue, VisibilityTimeout=30).get("Messages"))
    assert counts(sqs, queue) == [0, 1, 0]


def test_batches_succeed_and_fail_entry_by_entry(sqs, queue, refused):
    entries = [{"Id": str(index), "MessageBody": f"m{index}"} for index in range(3)]
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries + [{"Id": "late", "MessageBody": "m", "DelaySeconds": 901}])
    assert [entry["Id"] for entry in sent["Successful"]] == ["0", "1", "2"]
    assert sent["Successful"][1]["MD5OfMessageBody"] == md5("m1")
    failed = sent["Failed"][0]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("late", "InvalidParameterValue", True)
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in got] == ["m0", "m1", "m2"]
    gone = [{"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(got)]
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=gone + [{"Id": "x", "ReceiptHandle": "nonsense"}])
    assert [entry["Id"] for entry in deleted["Successful"]] == ["0", "1", "2"]
    assert [entry["Code"] for entry in deleted["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert counts(sqs, queue) == [0, 0, 0]
    prefix = "AWS.SimpleQueueService."
    assert refused(sqs.send_message_batch, QueueUrl=queue, Entries=[]) == (prefix + "EmptyBatchRequest", 400)
    twice = entries[:1] * 2
    assert refused(sqs.send_message_batch, QueueUrl=queue, Entries=twice) == (prefix + "BatchEntryIdsNotDistinct", 400)


def test_the_largest_message_of_aws_passes(sqs, queue, refused):
    # Two bytes each, which Python writes as six.
    body = "ä" * (512 * 1024)
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == body
    assert refused(sqs.send_message, QueueUrl=queue, MessageBody=body + "x") == ("InvalidParameterValue", 400)


def test_a_purge_empties_a_queue_once_a_minute(sqs, queue, refused):
    sqs.send_message(QueueUrl=queue, MessageBody="m")
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == [0, 0, 0]
    assert refused(sqs.purge_queue, QueueUrl=queue) == ("AWS.SimpleQueueService.PurgeQueueInProgress", 403)


def test_the_address_of_a_served_sandbox_is_a_queues_address(sqs, queue, refused):
    here = f"{os.environ['AWS_ENDPOINT_URL']}/123456789012/{queue.rsplit('/', 1)[1]}"
    sqs.send_message(QueueUrl=here, MessageBody="m")
    assert counts(sqs, queue) == [1, 0, 0]
    assert refused(sqs.send_message, QueueUrl="jobs", MessageBody="m")[0] == "InvalidAddress"


def test_a_repository_is_made_described_and_deleted(ecr, refused):
    made = ecr.create_repository(repositoryName="wire/life")["repository"]
    assert made["repositoryUri"] == f"{REGISTRY}/wire/life" and abs(made["createdAt"].timestamp() - time.time()) < 60
    assert refused(ecr.create_repository, repositoryName="wire/life") == ("RepositoryAlreadyExistsException", 400)
    assert ecr.describe_repositories(repositoryNames=["wire/life"])["repositories"] == [made]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=["wire/none"])
    both = dict(repositoryNames=["wire/life"], maxResults=1)
    assert refused(ecr.describe_repositories, **both) == ("InvalidParameterException", 400)
    weather("image", "wire/life:1", "1MiB")
    assert refused(ecr.delete_repository, repositoryName="wire/life") == ("RepositoryNotEmptyException", 400)
    assert ecr.delete_repository(repositoryName="wire/life", force=True)["repository"] == made
    assert refused(ecr.delete_repository, repositoryName="wire/life") == ("RepositoryNotFoundException", 400)


def test_the_registrys_password_is_handed_out_for_twelve_hours(ecr, cli):
    data = ecr.get_authorization_token()["authorizationData"][0]
    assert base64.b64decode(data["authorizationToken"]) == b"AWS:sandbox-registry-password"
    assert abs(data["expiresAt"].timestamp() - time.time() - 12 * 3600) < 60
    assert data["proxyEndpoint"] == f"https://{REGISTRY}"
    token = cli("ecr", "get-authorization-token")["authorizationData"][0]["authorizationToken"]
    assert token == data["authorizationToken"]


def test_images_are_what_the_weather_put_there(ecr, refused):
    weather("image", "wire/images:1", "1.5GiB")
    image = ecr.describe_images(repositoryName="wire/images", imageIds=[{"imageTag": "1"}])["imageDetails"][0]
    assert image["imageSizeInBytes"] == 1_610_612_736 and image["imageTags"] == ["1"]
    assert abs(image["imagePushedAt"].timestamp() - time.time()) < 60
    by_digest = [{"imageDigest": image["imageDigest"]}]
    assert ecr.describe_images(repositoryName="wire/images", imageIds=by_digest)["imageDetails"] == [image]
    none = dict(repositoryName="wire/images", imageIds=[{"imageTag": "2"}])
    assert refused(ecr.describe_images, **none) == ("ImageNotFoundException", 400)
    assert refused(ecr.describe_images, repositoryName="wire/none") == ("RepositoryNotFoundException", 400)
    tagged = {"tagStatus": "UNTAGGED"}
    assert ecr.describe_images(repositoryName="wire/images", filter=tagged)["imageDetails"] == []
    weather("no-image", "wire/images:1")
    gone = dict(repositoryName="wire/images", imageIds=by_digest)
    assert refused(ecr.describe_images, **gone) == ("ImageNotFoundException", 400)
    ecr.delete_repository(repositoryName="wire/images")
