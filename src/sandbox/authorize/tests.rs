//! The policies that spotctl renders, held against the calls that their holders make, and refusals as clients see them.

use http::Response;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::*;
use crate::sandbox::ec2::asking::{IMAGE, START};
use crate::sandbox::world::World;
use crate::sandbox::{route, sts, weather};

mod dry_run;
mod message;
mod simulation;

const REGION: &str = "ap-northeast-2";
const ROLE: &str = "spotctl-worker-gpu-ap-northeast-2";

/// A reviewed policy, in this account.
fn golden(name: &str) -> String {
    let text = match name {
        "worker" => include_str!("../../../tests/fixtures/golden/policy/worker.json"),
        "operator" => include_str!("../../../tests/fixtures/golden/policy/operator.json"),
        _ => include_str!("../../../tests/fixtures/golden/policy/launcher.json"),
    };
    text.replace("111122223333", ACCOUNT)
}

/// An account with the stack of the reviewed policies and another one; requests by key.
struct Account {
    world: World,
    at: i64,
}

impl Account {
    fn new() -> Self {
        let mut account = Self { world: World::default(), at: START };
        account.user("iam", &format!("Action=CreateRole&RoleName={ROLE}&AssumeRolePolicyDocument={}", encoded(TRUST)));
        account.user("iam", &format!("Action=CreateInstanceProfile&InstanceProfileName={ROLE}"));
        let both = format!("InstanceProfileName={ROLE}&RoleName={ROLE}");
        account.user("iam", &format!("Action=AddRoleToInstanceProfile&{both}"));
        account.at += 1;
        for name in ["/oncetime/worker-gpu/A", "/other/A"] {
            account.user("ssm PutParameter", &json!({"Name": name, "Value": "1", "Type": "String"}).to_string());
        }
        account
    }

    /// With the worker's policy in its role, as `KEY` of a session that an instance has.
    fn with_worker() -> (Self, String) {
        let mut account = Self::new();
        let put =
            format!("Action=PutRolePolicy&RoleName={ROLE}&PolicyName=p&PolicyDocument={}", encoded(&golden("worker")));
        account.user("iam", &put);
        let own = account.instance("worker-gpu");
        let now = account.now();
        let (key, _) = sts::session_of_instance(&mut account.world, ROLE, &own, now);
        (account, key)
    }

    /// With a key that is held to this policy.
    fn with_principal(policy: &str) -> Self {
        let mut account = Self::new();
        let words = ["principal", "AKIALIMITED", policy].map(str::to_owned);
        let now = account.now();
        weather::set(&mut account.world, &words, now).unwrap();
        account
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.at).unwrap()
    }

    /// `service` alone for a form, with an operation for JSON.
    fn respond(&mut self, key: &str, service: &str, body: &str) -> Response<Bytes> {
        let (service, operation) = service.split_once(' ').unwrap_or((service, ""));
        let scope = format!("AWS4-HMAC-SHA256 Credential={key}/20270115/{REGION}/{service}/aws4_request, Signature=0");
        let mut request = Request::post("/").header("authorization", scope);
        if !operation.is_empty() {
            request = request.header("x-amz-target", format!("X.{operation}"));
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let now = self.now();
        route::answer(&mut self.world, &request, now)
    }

    /// The answer, or the refusal.
    fn ask(&mut self, key: &str, service: &str, body: &str) -> Result<String, String> {
        let response = self.respond(key, service, body);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        if response.status() == 200 { Ok(text) } else { Err(format!("{} {text}", response.status().as_u16())) }
    }

    /// As the account's one user, who may do everything.
    #[track_caller]
    fn user(&mut self, service: &str, body: &str) -> String {
        self.ask("AK", service, body).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    fn instance(&mut self, stack: &str) -> String {
        let launch = format!(
            "Action=RunInstances&MinCount=1&MaxCount=1&ImageId={IMAGE}&InstanceType=g4dn.xlarge\
             &InstanceMarketOptions.MarketType=spot&IamInstanceProfile.Name={ROLE}&{}",
            tags("instance", stack)
        );
        between(&self.user("ec2", &launch), "<instanceId>")
    }

    fn template(&mut self, name: &str, stack: &str, group: &str) -> String {
        let data = format!(
            "LaunchTemplateData.ImageId={IMAGE}&LaunchTemplateData.IamInstanceProfile.Name={ROLE}\
             &LaunchTemplateData.NetworkInterface.1.DeviceIndex=0\
             &LaunchTemplateData.NetworkInterface.1.SecurityGroupId.1={group}\
             &LaunchTemplateData.InstanceMarketOptions.MarketType=spot"
        );
        let body =
            format!("Action=CreateLaunchTemplate&LaunchTemplateName={name}&{data}&{}", tags("launch-template", stack));
        between(&self.user("ec2", &body), "<launchTemplateId>")
    }

    fn group(&mut self, name: &str, stack: &str) -> String {
        let tags = tags("security-group", stack);
        let body = format!("Action=CreateSecurityGroup&GroupName={name}&GroupDescription=d&{tags}");
        between(&self.user("ec2", &body), "<groupId>")
    }

    fn subnets(&mut self) -> Vec<String> {
        let answer = self.user("ec2", "Action=DescribeSubnets");
        answer.split("<subnetId>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }
}

const TRUST: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}"#;

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn tags(kind: &str, stack: &str) -> String {
    format!(
        "TagSpecification.1.ResourceType={kind}&TagSpecification.1.Tag.1.Key=spotctl:stack&TagSpecification.1.Tag.1.Value={stack}"
    )
}

fn between(text: &str, tag: &str) -> String {
    text.split(tag).nth(1).unwrap_or_else(|| panic!("no {tag} in {text}")).split('<').next().unwrap().to_owned()
}

/// `fine`, or how it was refused.
fn word(answer: &Result<String, String>) -> &'static str {
    let codes = ["UnauthorizedOperation", "AccessDeniedException", "AccessDenied"];
    match answer {
        Ok(_) => "fine",
        Err(error) => codes.into_iter().find(|code| error.contains(code)).unwrap_or("another error"),
    }
}

#[test]
fn a_worker_reads_its_own_parameters_and_no_others() {
    let (mut account, key) = Account::with_worker();
    let denied = "AccessDeniedException";
    for (call, body, wanted) in [
        ("GetParametersByPath", json!({"Path": "/oncetime/worker-gpu"}), "fine"),
        ("GetParametersByPath", json!({"Path": "/oncetime/worker-gpu/"}), "fine"),
        ("GetParametersByPath", json!({"Path": "/other"}), denied),
        ("GetParametersByPath", json!({"Path": "/oncetime", "Recursive": true}), denied),
        ("GetParametersByPath", json!({"Path": "/oncetime/worker-gpu/deeper"}), denied),
        ("GetParametersByPath", json!({"Path": "/"}), denied),
        ("GetParameter", json!({"Name": "/oncetime/worker-gpu/A"}), "fine"),
        ("GetParameter", json!({"Name": "/oncetime/worker-gpu/A:1"}), "fine"),
        ("GetParameter", json!({"Name": "/other/A"}), denied),
        ("GetParameters", json!({"Names": ["/oncetime/worker-gpu/A"]}), "fine"),
        ("GetParameters", json!({"Names": ["/oncetime/worker-gpu/A", "/other/A"]}), denied),
        ("PutParameter", json!({"Name": "/oncetime/worker-gpu/A", "Value": "2", "Overwrite": true}), denied),
        ("DeleteParameter", json!({"Name": "/oncetime/worker-gpu/A"}), denied),
        ("DescribeParameters", json!({}), denied),
    ] {
        let answer = account.ask(&key, &format!("ssm {call}"), &body.to_string());
        assert_eq!(word(&answer), wanted, "{call} {body}: {answer:?}");
    }
}

#[test]
fn a_worker_works_its_queue_off_and_pulls_its_image() {
    let (mut account, key) = Account::with_worker();
    for name in ["jobs", "results", "other"] {
        account.user("sqs CreateQueue", &json!({"QueueName": name}).to_string());
    }
    let queue = |name: &str| format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}");
    let denied = "AccessDeniedException";
    for (call, body, wanted) in [
        ("sqs GetQueueUrl", json!({"QueueName": "jobs"}), "fine"),
        ("sqs GetQueueAttributes", json!({"QueueUrl": queue("jobs"), "AttributeNames": ["All"]}), "fine"),
        ("sqs ReceiveMessage", json!({"QueueUrl": queue("jobs")}), "fine"),
        ("sqs ReceiveMessage", json!({"QueueUrl": queue("other")}), denied),
        ("sqs SendMessage", json!({"QueueUrl": queue("jobs"), "MessageBody": "x"}), denied),
        // Its condition asks for a tag of the role, which this one does not have.
        ("sqs SendMessage", json!({"QueueUrl": queue("results"), "MessageBody": "x"}), denied),
        ("sqs PurgeQueue", json!({"QueueUrl": queue("jobs")}), denied),
        ("ecr GetAuthorizationToken", json!({}), "fine"),
        ("ecr DescribeRepositories", json!({}), denied),
    ] {
        let answer = account.ask(&key, call, &body.to_string());
        assert_eq!(word(&answer), wanted, "{call} {body}: {answer:?}");
    }
    for (tag, value) in [("team", "a"), ("owner", "a")] {
        let tag = format!("Tags.member.1.Key={tag}&Tags.member.1.Value={value}");
        account.user("iam", &format!("Action=TagRole&RoleName={ROLE}&{tag}"));
    }
    let send = json!({"QueueUrl": queue("results"), "MessageBody": "x"}).to_string();
    let answer = account.ask(&key, "sqs SendMessage", &send);
    assert_eq!(word(&answer), "fine", "{answer:?}");
}

#[test]
fn a_worker_tags_its_own_stack_with_its_own_keys_and_does_nothing_else() {
    let (mut account, key) = Account::with_worker();
    let (own, foreign) = (account.instance("worker-gpu"), account.instance("other"));
    let group = account.group("g", "worker-gpu");
    let template = account.template("mine", "worker-gpu", &group);
    let foreign_template = account.template("theirs", "other", &group);
    let tag = |id: &str, keys: &[&str]| {
        let keys = keys.iter().enumerate().map(|(at, key)| format!("&Tag.{0}.Key={key}&Tag.{0}.Value=v", at + 1));
        format!("Action=CreateTags&ResourceId.1={id}{}", keys.collect::<String>())
    };
    let no = "UnauthorizedOperation";
    for (body, wanted) in [
        (tag(&own, &["spotctl:phase"]), "fine"),
        (tag(&own, &["spotctl:timeline"]), "fine"),
        (tag(&own, &["spotctl:phase", "spotctl:timeline"]), "fine"),
        (tag(&own, &["spotctl:phase", "Name"]), no),
        (tag(&own, &["spotctl:stack"]), no),
        (tag(&own, &["spotctl:last"]), no),
        (tag(&own, &[]), no),
        (tag(&foreign, &["spotctl:phase"]), no),
        (tag(&own, &["spotctl:phase"]) + "&ResourceId.2=" + &foreign, no),
        (tag(&template, &["spotctl:last"]), "fine"),
        (tag(&template, &["spotctl:phase"]), no),
        (tag(&foreign_template, &["spotctl:last"]), no),
        (tag(&group, &["spotctl:phase"]), no),
        (tag("i-00000000000000000", &["spotctl:phase"]), no),
        (format!("Action=DeleteTags&ResourceId.1={own}&Tag.1.Key=spotctl:phase"), no),
        (format!("Action=TerminateInstances&InstanceId.1={own}"), no),
        ("Action=DescribeInstances".to_owned(), no),
        (
            format!(
                "Action=RunInstances&LaunchTemplate.LaunchTemplateId={template}&InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1"
            ),
            no,
        ),
    ] {
        let answer = account.ask(&key, "ec2", &body);
        assert_eq!(word(&answer), wanted, "{body}: {answer:?}");
    }
    let answer = account.ask(&key, "iam", &format!("Action=GetRole&RoleName={ROLE}"));
    assert_eq!(word(&answer), "AccessDenied", "{answer:?}");
}

#[test]
fn an_operator_may_do_all_that_a_command_does_with_his_stack_and_no_more() {
    let mut account = Account::with_principal(&golden("operator"));
    let (own, foreign) = (account.instance("worker-gpu"), account.instance("other"));
    let (group, foreign_group) = (account.group("g", "worker-gpu"), account.group("f", "other"));
    let template = account.template("mine", "worker-gpu", &group);
    let foreign_template = account.template("theirs", "other", &group);
    let subnet = account.subnets().remove(0);
    let launch = |template: &str, stack: &str| {
        let tagged: Vec<String> = ["instance", "volume", "network-interface", "spot-instances-request"]
            .into_iter()
            .enumerate()
            .map(|(at, kind)| tags(kind, stack).replace("Specification.1", &format!("Specification.{}", at + 1)))
            .collect();
        format!(
            "Action=RunInstances&MinCount=1&MaxCount=1&LaunchTemplate.LaunchTemplateId={template}\
             &InstanceType=g4dn.xlarge&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId={subnet}\
             &NetworkInterface.1.SecurityGroupId.1={group}&{}",
            tagged.join("&")
        )
    };
    let role = format!("RoleName={ROLE}");
    let profile = format!("InstanceProfileName={ROLE}");
    let policy = encoded(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let all = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=";
    let no = "UnauthorizedOperation";
    let forms = [
        ("ec2", "Action=DescribeVpcs".to_owned(), "fine"),
        ("ec2", format!("Action=CreateSecurityGroup&GroupName=n&GroupDescription=d&{}", tags("security-group", "worker-gpu")), "fine"),
        ("ec2", format!("Action=CreateSecurityGroup&GroupName=m&GroupDescription=d&{}", tags("security-group", "other")), no),
        ("ec2", "Action=CreateSecurityGroup&GroupName=m&GroupDescription=d".to_owned(), no),
        ("ec2", format!("Action=AuthorizeSecurityGroupEgress&GroupId={group}&{all}192.0.2.0/24"), "fine"),
        ("ec2", format!("Action=RevokeSecurityGroupEgress&GroupId={group}&{all}192.0.2.0/24"), "fine"),
        ("ec2", format!("Action=AuthorizeSecurityGroupIngress&GroupId={group}&{all}192.0.2.0/24"), no),
        ("ec2", format!("Action=RevokeSecurityGroupEgress&GroupId={foreign_group}&{all}0.0.0.0/0"), no),
        ("ec2", format!("Action=CreateLaunchTemplate&LaunchTemplateName=new&LaunchTemplateData.ImageId=ami-00000000&{}", tags("launch-template", "worker-gpu")), "fine"),
        ("ec2", "Action=CreateLaunchTemplate&LaunchTemplateName=newer&LaunchTemplateData.ImageId=ami-00000000".to_owned(), no),
        ("ec2", "Action=CreateLaunchTemplateVersion&LaunchTemplateName=mine&SourceVersion=1&LaunchTemplateData.EbsOptimized=true".to_owned(), "fine"),
        ("ec2", format!("Action=ModifyLaunchTemplate&LaunchTemplateId={template}&SetDefaultVersion=1"), "fine"),
        ("ec2", format!("Action=DeleteLaunchTemplateVersions&LaunchTemplateId={template}&LaunchTemplateVersion.1=2"), "fine"),
        ("ec2", format!("Action=ModifyLaunchTemplate&LaunchTemplateId={foreign_template}&SetDefaultVersion=1"), no),
        ("ec2", launch(&template, "worker-gpu"), "fine"),
        ("ec2", launch(&template, "other"), no),
        ("ec2", launch(&foreign_template, "worker-gpu"), no),
        ("ec2", format!("Action=GetConsoleOutput&InstanceId={own}"), "fine"),
        ("ec2", format!("Action=CreateTags&ResourceId.1={own}&Tag.1.Key=k&Tag.1.Value=v"), "fine"),
        ("ec2", format!("Action=CreateTags&ResourceId.1={foreign}&Tag.1.Key=spotctl:stack&Tag.1.Value=worker-gpu"), no),
        ("ec2", format!("Action=TerminateInstances&InstanceId.1={own}&InstanceId.2={foreign}"), no),
        ("ec2", format!("Action=TerminateInstances&InstanceId.1={own}"), "fine"),
        ("ec2", format!("Action=DeleteLaunchTemplate&LaunchTemplateId={template}"), "fine"),
        ("iam", format!("Action=GetRole&{role}"), "fine"),
        ("iam", "Action=GetRole&RoleName=other".to_owned(), "AccessDenied"),
        ("iam", format!("Action=TagRole&{role}&Tags.member.1.Key=k&Tags.member.1.Value=v"), "fine"),
        ("iam", format!("Action=PutRolePolicy&{role}&PolicyName=p&PolicyDocument={policy}"), "fine"),
        ("iam", format!("Action=AttachRolePolicy&{role}&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess"), "AccessDenied"),
        ("iam", "Action=ListRoles".to_owned(), "fine"),
        ("iam", "Action=ListInstanceProfiles".to_owned(), "AccessDenied"),
        ("iam", "Action=CreateServiceLinkedRole&AWSServiceName=spot.amazonaws.com".to_owned(), "fine"),
        ("iam", "Action=CreateServiceLinkedRole&AWSServiceName=autoscaling.amazonaws.com".to_owned(), "AccessDenied"),
        ("iam", format!("Action=RemoveRoleFromInstanceProfile&{profile}&{role}"), "fine"),
        ("iam", format!("Action=AddRoleToInstanceProfile&{profile}&{role}"), "fine"),
        ("iam", format!("Action=AddRoleToInstanceProfile&{profile}&RoleName=other"), "AccessDenied"),
        ("iam", format!("Action=RemoveRoleFromInstanceProfile&{profile}&{role}"), "fine"),
        ("iam", format!("Action=DeleteInstanceProfile&{profile}"), "fine"),
        ("iam", format!("Action=CreateInstanceProfile&{profile}&Tags.member.1.Key=k&Tags.member.1.Value=v"), "fine"),
        ("iam", format!("Action=DeleteRolePolicy&{role}&PolicyName=p"), "fine"),
        ("iam", format!("Action=DeleteRole&{role}"), "fine"),
        ("iam", format!("Action=CreateRole&{role}&AssumeRolePolicyDocument={}&Tags.member.1.Key=k&Tags.member.1.Value=v", encoded(TRUST)), "fine"),
        ("iam", format!("Action=CreateRole&{role}&Path=/p/&AssumeRolePolicyDocument={}", encoded(TRUST)), "AccessDenied"),
    ];
    for (service, body, wanted) in forms {
        if body.contains("CreateServiceLinkedRole") {
            // It is there from the start, or the launches before have made it.
            let now = account.now();
            weather::set(&mut account.world, &["spot-role", "none"].map(str::to_owned), now).unwrap();
        }
        let answer = account.ask("AKIALIMITED", service, &body);
        assert_eq!(word(&answer), wanted, "{body}: {answer:?}");
    }
    let denied = "AccessDeniedException";
    let own = "/oncetime/worker-gpu/B";
    let put = |name: &str| json!({"Name": name, "Value": "1", "Type": "String", "Tags": [{"Key": "k", "Value": "v"}]});
    for (call, body, wanted) in [
        ("ssm PutParameter", put(own), "fine"),
        ("ssm PutParameter", put("/other/B"), denied),
        (
            "ssm AddTagsToResource",
            json!({"ResourceType": "Parameter", "ResourceId": own, "Tags": [{"Key": "k", "Value": "w"}]}),
            "fine",
        ),
        ("ssm ListTagsForResource", json!({"ResourceType": "Parameter", "ResourceId": own}), denied),
        ("ssm GetParametersByPath", json!({"Path": "/oncetime/worker-gpu", "Recursive": true}), "fine"),
        ("ssm DescribeParameters", json!({}), "fine"),
        ("ssm GetParameters", json!({"Names": [IMAGE.trim_start_matches("resolve:ssm:")]}), "fine"),
        ("ssm GetParameters", json!({"Names": ["/images/worker"]}), "fine"),
        ("ssm DeleteParameters", json!({"Names": [own, "/other/A"]}), denied),
        ("ssm DeleteParameters", json!({"Names": [own]}), "fine"),
        ("servicequotas GetServiceQuota", json!({"ServiceCode": "ec2", "QuotaCode": "L-3819A6DF"}), "fine"),
        ("servicequotas ListServiceQuotas", json!({"ServiceCode": "ec2"}), "fine"),
        (
            "servicequotas RequestServiceQuotaIncrease",
            json!({"ServiceCode": "ec2", "QuotaCode": "L-3819A6DF", "DesiredValue": 96.0}),
            "fine",
        ),
        (
            "servicequotas RequestServiceQuotaIncrease",
            json!({"ServiceCode": "sqs", "QuotaCode": "L-1", "DesiredValue": 96.0}),
            denied,
        ),
    ] {
        let answer = account.ask("AKIALIMITED", call, &body.to_string());
        assert_eq!(word(&answer), wanted, "{call} {body}: {answer:?}");
    }
}

#[test]
fn a_launcher_chooses_the_zone_and_nothing_else_of_the_template() {
    let mut account = Account::new();
    let group = account.group("g", "worker-gpu");
    let foreign_group = account.group("f", "other");
    let template = account.template("mine", "worker-gpu", &group);
    let foreign_template = account.template("theirs", "worker-gpu", &group);
    let subnets = account.subnets();
    let policy = golden("launcher").replace("lt-0a", &template).replace("subnet-0a", &subnets[0]);
    let words = ["principal", "AKIALIMITED", &policy].map(str::to_owned);
    let now = account.now();
    weather::set(&mut account.world, &words, now).unwrap();
    let run = |template: &str, rest: &str| {
        format!(
            "Action=RunInstances&MinCount=1&MaxCount=1&LaunchTemplate.LaunchTemplateId={template}&InstanceType=g4dn.xlarge{rest}"
        )
    };
    let interface = |subnet: &str, group: &str| {
        format!(
            "&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId={subnet}&NetworkInterface.1.SecurityGroupId.1={group}"
        )
    };
    let own = account.instance("worker-gpu");
    let foreign = account.instance("other");
    let no = "UnauthorizedOperation";
    for (body, wanted) in [
        (run(&template, ""), "fine"),
        (run(&template, &interface(&subnets[0], &group)), "fine"),
        (run(&template, &format!("&{}", tags("instance", "worker-gpu"))), "fine"),
        (run(&template, &format!("&{}", tags("spot-instances-request", "worker-gpu"))), "fine"),
        (run(&template, &interface(&subnets[1], &group)), no),
        (run(&template, &interface(&subnets[0], &foreign_group)), no),
        (run(&template, &format!("&ImageId={IMAGE}")), no),
        (run(&template, "&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=99"), no),
        (run(&foreign_template, ""), no),
        (format!("Action=RunInstances&MinCount=1&MaxCount=1&ImageId={IMAGE}&InstanceType=g4dn.xlarge"), no),
        (format!("Action=TerminateInstances&InstanceId.1={foreign}"), no),
        (format!("Action=TerminateInstances&InstanceId.1={own}"), "fine"),
        (format!("Action=CreateTags&ResourceId.1={own}&Tag.1.Key=k&Tag.1.Value=v"), no),
        ("Action=DescribeInstances".to_owned(), "fine"),
        ("Action=DescribeVpcs".to_owned(), no),
    ] {
        let answer = account.ask("AKIALIMITED", "ec2", &body);
        assert_eq!(word(&answer), wanted, "{body}: {answer:?}");
    }
}

#[test]
fn a_launch_needs_leave_to_hand_over_its_role() {
    let all_but_passing =
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}"#;
    let mut account = Account::with_principal(all_but_passing);
    let launch = format!(
        "Action=RunInstances&MinCount=1&MaxCount=1&ImageId={IMAGE}&InstanceType=g4dn.xlarge&InstanceMarketOptions.MarketType=spot"
    );
    let answer = account.ask("AKIALIMITED", "ec2", &format!("{launch}&IamInstanceProfile.Name={ROLE}"));
    let message = format!("perform: iam:PassRole on resource: arn:aws:iam::{ACCOUNT}:role/{ROLE} because");
    assert!(answer.as_ref().is_err_and(|error| error.contains(&message)), "{answer:?}");
    assert_eq!(word(&account.ask("AKIALIMITED", "ec2", &launch)), "fine");
}

#[test]
fn each_service_refuses_in_its_own_words() {
    let (mut account, key) = Account::with_worker();
    let instance = account.world.sessions[&key].instance.clone();
    let who = format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{instance} is not authorized to perform: ");
    for (service, body, status, code, sentence) in [
        (
            "ec2",
            format!("Action=TerminateInstances&InstanceId.1={instance}"),
            403,
            "<Code>UnauthorizedOperation</Code>",
            format!(
                "You are not authorized to perform this operation. {who}ec2:TerminateInstances on resource: \
                 arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance} because no identity-based policy allows the \
                 ec2:TerminateInstances action"
            ),
        ),
        (
            "iam",
            "Action=GetRole&RoleName=x".to_owned(),
            403,
            "<Code>AccessDenied</Code>",
            format!("{who}iam:GetRole on resource: arn:aws:iam::{ACCOUNT}:role/x because"),
        ),
        (
            "ssm GetParameter",
            r#"{"Name": "/other/A"}"#.to_owned(),
            400,
            r#""__type":"AccessDeniedException""#,
            format!("{who}ssm:GetParameter on resource: arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/other/A because"),
        ),
    ] {
        let response = account.respond(&key, service, &body);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert_eq!(response.status(), status, "{text}");
        assert!(text.contains(code) && text.contains(&sentence), "{sentence}: {text}");
    }
    let caller = account.ask(&key, "sts", "Action=GetCallerIdentity").unwrap();
    let arn = format!("<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{instance}</Arn>");
    assert!(caller.contains(&arn) && caller.contains(&format!(":{instance}</UserId>")), "{caller}");
}

#[test]
fn an_expired_session_is_told_so_and_never_becomes_the_user() {
    let (mut account, key) = Account::with_worker();
    account.at += 3600;
    for (service, body, wanted) in [
        (
            "ec2",
            "Action=DescribeVpcs",
            "400 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>RequestExpired<",
        ),
        ("iam", "Action=ListRoles", "<Code>ExpiredToken</Code>"),
        ("sts", "Action=GetCallerIdentity", "<Code>ExpiredToken</Code>"),
        ("ssm GetParameter", r#"{"Name": "/other/A"}"#, "ExpiredTokenException"),
    ] {
        let answer = account.ask(&key, service, body);
        assert!(answer.as_ref().is_err_and(|error| error.contains(wanted)), "{service}: {answer:?}");
    }
}

#[test]
fn a_session_follows_its_role() {
    let (mut account, key) = Account::with_worker();
    let get = r#"{"Name": "/oncetime/worker-gpu/A"}"#;
    assert_eq!(word(&account.ask(&key, "ssm GetParameter", get)), "fine");
    let odd = encoded(r#"{"Statement":{"Effect":"Allow","NotAction":"x:y","Resource":"*"}}"#);
    account.user("iam", &format!("Action=PutRolePolicy&RoleName={ROLE}&PolicyName=odd&PolicyDocument={odd}"));
    let answer = account.ask(&key, "ssm GetParameter", get);
    let said = "the policy odd cannot be evaluated, its element NotAction is not evaluated here";
    assert!(answer.as_ref().is_err_and(|error| error.contains(said)), "{answer:?}");
    for policy in ["odd", "p"] {
        account.user("iam", &format!("Action=DeleteRolePolicy&RoleName={ROLE}&PolicyName={policy}"));
    }
    assert_eq!(word(&account.ask(&key, "ssm GetParameter", get)), "AccessDeniedException", "nothing allows it");
    account.world.iam.roles.remove(ROLE);
    assert_eq!(word(&account.ask(&key, "ssm GetParameter", get)), "AccessDeniedException", "the role is gone");
}

#[test]
fn an_explicit_deny_says_so() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:DescribeVpcs", "Resource": "*"}]}"#;
    let mut account = Account::with_principal(policy);
    let answer = account.ask("AKIALIMITED", "ec2", "Action=DescribeVpcs");
    let said = "perform: ec2:DescribeVpcs on resource: * with an explicit deny in an identity-based policy";
    assert!(answer.as_ref().is_err_and(|error| error.contains(said)), "{answer:?}");
    let caller = account.ask("AKIALIMITED", "sts", "Action=GetCallerIdentity").unwrap();
    assert!(caller.contains(&format!("<Arn>arn:aws:iam::{ACCOUNT}:user/AKIALIMITED</Arn>")), "{caller}");
}

#[test]
fn what_is_refused_changes_nothing() {
    let (mut account, key) = Account::with_worker();
    let before = serde_json::to_value(&account.world).unwrap();
    account.ask(&key, "ec2", "Action=CreateSecurityGroup&GroupName=g&GroupDescription=d").unwrap_err();
    let mut after = serde_json::to_value(&account.world).unwrap();
    after["counter"] = before["counter"].clone();
    assert_eq!(after, before);
}

#[test]
fn queues_and_repositories_are_found_in_the_body() {
    let mut world = World::default();
    let mut call = |operation: &str, service: &str, body: &Value| {
        let (region, operation) = (REGION.to_owned(), operation.to_owned());
        let call = Call { world: &mut world, region, now: Timestamp::UNIX_EPOCH, operation };
        let questions = json::questions(&call, service, body);
        let question = questions.into_iter().next().unwrap();
        (question.action, question.resources.into_iter().map(|(arn, _)| arn).collect::<Vec<_>>())
    };
    let url = "http://127.0.0.1:4566/444455556666/jobs.fifo";
    let queue = |account: &str, name: &str| format!("arn:aws:sqs:{REGION}:{account}:{name}");
    let repository = |account: &str, name: &str| format!("arn:aws:ecr:{REGION}:{account}:repository/{name}");
    for (service, operation, body, action, arn) in [
        ("sqs", "ReceiveMessage", json!({"QueueUrl": url}), "sqs:ReceiveMessage", queue("444455556666", "jobs.fifo")),
        (
            "sqs",
            "DeleteMessageBatch",
            json!({"QueueUrl": url}),
            "sqs:DeleteMessage",
            queue("444455556666", "jobs.fifo"),
        ),
        ("sqs", "GetQueueUrl", json!({"QueueName": "jobs"}), "sqs:GetQueueUrl", queue(ACCOUNT, "jobs")),
        (
            "sqs",
            "GetQueueUrl",
            json!({"QueueName": "jobs", "QueueOwnerAWSAccountId": "444455556666"}),
            "sqs:GetQueueUrl",
            queue("444455556666", "jobs"),
        ),
        ("sqs", "ListQueues", json!({}), "sqs:ListQueues", "*".to_owned()),
        ("ecr", "GetAuthorizationToken", json!({}), "ecr:GetAuthorizationToken", "*".to_owned()),
        (
            "ecr",
            "DescribeImages",
            json!({"repositoryName": "team/w"}),
            "ecr:DescribeImages",
            repository(ACCOUNT, "team/w"),
        ),
        (
            "ecr",
            "BatchGetImage",
            json!({"repositoryName": "team/w", "registryId": "999999999999"}),
            "ecr:BatchGetImage",
            repository("999999999999", "team/w"),
        ),
        (
            "ecr",
            "DescribeRepositories",
            json!({"repositoryNames": ["a"]}),
            "ecr:DescribeRepositories",
            repository(ACCOUNT, "a"),
        ),
        ("ecr", "DescribeRepositories", json!({}), "ecr:DescribeRepositories", repository(ACCOUNT, "*")),
    ] {
        assert_eq!(call(operation, service, &body), (action.to_owned(), vec![arn]), "{operation} {body}");
    }
}
