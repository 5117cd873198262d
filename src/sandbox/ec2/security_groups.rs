//! Security groups and their rules. AWS adds an outbound rule to everywhere to each new group, and lets none go that an
//! instance still uses.

use std::collections::BTreeMap;

use super::filter::{Filters, dry_run, page};
use super::instances::answer::tag_set;
use super::network::{new_tags, put_tags};
use super::placement::{InstanceState, is_id, state_of};
use super::state::{Peer, Rule, SecurityGroup, State};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};
use crate::sandbox::world::{ACCOUNT, World};

#[cfg(test)]
mod tests;

/// What a VPC's default group comes with: everything from itself, everything to everywhere.
pub(super) fn default_rules(world: &mut World, group: &str) -> BTreeMap<String, Rule> {
    let inside = Rule { egress: false, peer: Peer::Group(group.to_owned()), ..to_everywhere() };
    BTreeMap::from([(world.new_id("sgr"), inside), (world.new_id("sgr"), to_everywhere())])
}

fn to_everywhere() -> Rule {
    Rule {
        egress: true,
        protocol: "-1".to_owned(),
        from_port: None,
        to_port: None,
        peer: Peer::V4("0.0.0.0/0".to_owned()),
        description: None,
    }
}

/// Answers this module's operations.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Option<Result<Vec<Element>, AwsError>> {
    Some(match call.operation.as_str() {
        "CreateSecurityGroup" => create(call, input),
        "DescribeSecurityGroups" => describe(call, input),
        "DescribeSecurityGroupRules" => describe_rules(call, input),
        "AuthorizeSecurityGroupIngress" => authorize(call, input, false),
        "AuthorizeSecurityGroupEgress" => authorize(call, input, true),
        "RevokeSecurityGroupIngress" => revoke(call, input, false),
        "RevokeSecurityGroupEgress" => revoke(call, input, true),
        "DeleteSecurityGroup" => delete(call, input),
        _ => return None,
    })
}

fn here<'a>(call: &'a mut Call<'_>) -> &'a mut State {
    let region = call.region.clone();
    &mut call.world.region(&region).ec2
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

fn check_id(id: &str) -> Result<(), AwsError> {
    if is_id(id, "sg-") {
        return Ok(());
    }
    Err(AwsError::new("InvalidGroupId.Malformed", format!("Invalid id: \"{id}\" (expecting \"sg-...\")")))
}

fn create(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = input.required("GroupName")?;
    let description = input.required("GroupDescription")?;
    let vpc = input.optional("VpcId");
    let tags = new_tags(input, "security-group")?;
    let state = here(call);
    let default = || state.vpcs.iter().find(|(_, vpc)| vpc.is_default).map(|(id, _)| id.clone());
    let vpc = vpc.or_else(default).ok_or_else(|| AwsError::new("VPCIdNotSpecified", "No default VPC for this user"))?;
    if !state.vpcs.contains_key(&vpc) {
        return Err(AwsError::new("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist")));
    }
    if name.starts_with("sg-") || name.len() > 255 || name == "default" {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("Value ({name}) for parameter GroupName is invalid."),
        ));
    }
    if state.security_groups.values().any(|group| group.vpc == vpc && group.name == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(AwsError::new("InvalidGroup.Duplicate", message));
    }
    dry_run(input)?;
    let (id, rule) = (call.world.new_id("sg"), call.world.new_id("sgr"));
    let created_at = call.now.as_second();
    let group = SecurityGroup { name, description, vpc, created_at, rules: BTreeMap::from([(rule, to_everywhere())]) };
    here(call).security_groups.insert(id.clone(), group);
    put_tags(call, &id, tags);
    let region = call.region.clone();
    let state = here(call);
    Ok(vec![
        leaf("return", true),
        leaf("groupId", &id),
        leaf("securityGroupArn", format!("arn:aws:ec2:{region}:{ACCOUNT}:security-group/{id}")),
        tag_set(state, &id),
    ])
}

fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (ids, names) = (input.list("GroupId"), input.list("GroupName"));
    let filters = Filters::read(input)?;
    ids.iter().try_for_each(|id| check_id(id))?;
    let delay = i64::try_from(call.world.weather.visibility.as_secs()).unwrap_or(i64::MAX);
    let now = call.now.as_second();
    let state = here(call);
    let visible = |group: &SecurityGroup| now >= group.created_at.saturating_add(delay);
    let is_there = |id: &String| state.security_groups.get(id).is_some_and(visible);
    if let Some(id) = ids.iter().find(|id| !is_there(id)) {
        return Err(not_found(id));
    }
    let in_default = |name: &String| {
        let is_it = |group: &&SecurityGroup| {
            group.name == *name && state.vpcs.get(&group.vpc).is_some_and(|vpc| vpc.is_default) && visible(group)
        };
        state.security_groups.values().any(|group| is_it(&group))
    };
    if let Some(name) = names.iter().find(|name| !in_default(name)) {
        return Err(not_found(name));
    }
    let mut items = Vec::new();
    for (id, group) in state.security_groups.iter().filter(|(_, group)| visible(group)) {
        let is_asked = (ids.is_empty() || ids.contains(id)) && (names.is_empty() || names.contains(&group.name));
        if is_asked && filters.accept(state.tags_of(id), |name| values(id, group, name))? {
            items.push(item(state, id, group));
        }
    }
    let (items, next) = page(input, items, 5..=1000)?;
    dry_run(input)?;
    let mut answer = vec![list("securityGroupInfo", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn values(id: &str, group: &SecurityGroup, name: &str) -> Option<Vec<String>> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    let (name, egress) = match name.strip_prefix("egress.") {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    let rules = || group.rules.values().filter(move |rule| rule.egress == egress);
    match name {
        "group-id" => one(id),
        "group-name" => one(&group.name),
        "vpc-id" => one(&group.vpc),
        "description" => one(&group.description),
        "owner-id" => one(ACCOUNT),
        "ip-permission.cidr" => Some(peers(rules, |peer| matches!(peer, Peer::V4(_)))),
        "ip-permission.ipv6-cidr" => Some(peers(rules, |peer| matches!(peer, Peer::V6(_)))),
        "ip-permission.group-id" => Some(peers(rules, |peer| matches!(peer, Peer::Group(_)))),
        "ip-permission.prefix-list-id" => Some(peers(rules, |peer| matches!(peer, Peer::PrefixList(_)))),
        "ip-permission.protocol" => Some(rules().map(|rule| rule.protocol.clone()).collect()),
        "ip-permission.from-port" => {
            Some(rules().filter_map(|rule| rule.from_port).map(|port| port.to_string()).collect())
        }
        "ip-permission.to-port" => Some(rules().filter_map(|rule| rule.to_port).map(|port| port.to_string()).collect()),
        _ => None,
    }
}

/// The peers of a kind among rules.
fn peers<'a, Rules: Iterator<Item = &'a Rule>>(rules: impl Fn() -> Rules, is_kind: fn(&Peer) -> bool) -> Vec<String> {
    rules().filter(|rule| is_kind(&rule.peer)).map(|rule| text_of(&rule.peer).to_owned()).collect()
}

fn text_of(peer: &Peer) -> &str {
    match peer {
        Peer::V4(text) | Peer::V6(text) | Peer::Group(text) | Peer::PrefixList(text) => text,
    }
}

fn item(state: &State, id: &str, group: &SecurityGroup) -> Vec<Element> {
    vec![
        leaf("ownerId", ACCOUNT),
        leaf("groupId", id),
        leaf("groupName", &group.name),
        leaf("groupDescription", &group.description),
        leaf("vpcId", &group.vpc),
        permissions("ipPermissions", group, false),
        permissions("ipPermissionsEgress", group, true),
        tag_set(state, id),
    ]
}

/// EC2 shows rules together that differ in their peer only.
fn permissions(name: &str, group: &SecurityGroup, egress: bool) -> Element {
    type Ports = (String, Option<i64>, Option<i64>);
    let mut together: BTreeMap<Ports, Vec<&Rule>> = BTreeMap::new();
    for rule in group.rules.values().filter(|rule| rule.egress == egress) {
        together.entry((rule.protocol.clone(), rule.from_port, rule.to_port)).or_default().push(rule);
    }
    let items = together.into_iter().map(|((protocol, from, to), rules)| {
        let peers = |list_name: &str, of: &dyn Fn(&Rule) -> Option<Vec<Element>>| {
            let with_text = rules.iter().filter_map(|rule| {
                let mut peer = of(rule)?;
                peer.extend(maybe("description", rule.description.as_ref()));
                Some(peer)
            });
            list(list_name, "item", with_text.collect::<Vec<_>>())
        };
        let mut item = vec![leaf("ipProtocol", protocol)];
        item.extend(maybe("fromPort", from));
        item.extend(maybe("toPort", to));
        item.push(peers("groups", &|rule| match &rule.peer {
            Peer::Group(id) => Some(vec![leaf("userId", ACCOUNT), leaf("groupId", id)]),
            _ => None,
        }));
        item.push(peers("ipRanges", &|rule| match &rule.peer {
            Peer::V4(cidr) => Some(vec![leaf("cidrIp", cidr)]),
            _ => None,
        }));
        item.push(peers("ipv6Ranges", &|rule| match &rule.peer {
            Peer::V6(cidr) => Some(vec![leaf("cidrIpv6", cidr)]),
            _ => None,
        }));
        item.push(peers("prefixListIds", &|rule| match &rule.peer {
            Peer::PrefixList(id) => Some(vec![leaf("prefixListId", id)]),
            _ => None,
        }));
        item
    });
    list(name, "item", items)
}

fn rule_item(id: &str, group: &str, rule: &Rule) -> Vec<Element> {
    let mut item = vec![
        leaf("securityGroupRuleId", id),
        leaf("groupId", group),
        leaf("groupOwnerId", ACCOUNT),
        leaf("isEgress", rule.egress),
        leaf("ipProtocol", &rule.protocol),
        leaf("fromPort", rule.from_port.unwrap_or(-1)),
        leaf("toPort", rule.to_port.unwrap_or(-1)),
    ];
    item.push(match &rule.peer {
        Peer::V4(cidr) => leaf("cidrIpv4", cidr),
        Peer::V6(cidr) => leaf("cidrIpv6", cidr),
        Peer::Group(id) => node("referencedGroupInfo", vec![leaf("groupId", id), leaf("userId", ACCOUNT)]),
        Peer::PrefixList(id) => leaf("prefixListId", id),
    });
    item.extend(maybe("description", rule.description.as_ref()));
    item
}

fn describe_rules(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("SecurityGroupRuleId");
    let filters = Filters::read(input)?;
    let state = here(call);
    let is_there = |id: &String| state.security_groups.values().any(|group| group.rules.contains_key(id));
    if let Some(id) = ids.iter().find(|id| !is_there(id)) {
        return Err(no_rule(id));
    }
    let mut items = Vec::new();
    for (group, found) in &state.security_groups {
        for (id, rule) in found.rules.iter().filter(|(id, _)| ids.is_empty() || ids.contains(id)) {
            let values = |name: &str| match name {
                "group-id" => Some(vec![group.clone()]),
                "security-group-rule-id" => Some(vec![id.clone()]),
                _ => None,
            };
            if filters.accept(state.tags_of(id), values)? {
                items.push(rule_item(id, group, rule));
            }
        }
    }
    let (items, next) = page(input, items, 5..=1000)?;
    dry_run(input)?;
    let mut answer = vec![list("securityGroupRuleSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn no_rule(id: &str) -> AwsError {
    let message = format!("The security group rule ID '{id}' does not exist");
    AwsError::new("InvalidSecurityGroupRuleId.NotFound", message)
}

/// The protocol by its name where it has one, as EC2 tells it again; ports are checked where it has them.
fn protocol_of(permission: &Query, from_port: Option<i64>, to_port: Option<i64>) -> Result<String, AwsError> {
    let said = permission.required("IpProtocol")?;
    let name = match said.to_ascii_lowercase().as_str() {
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "1" => "icmp".to_owned(),
        "58" => "icmpv6".to_owned(),
        name => name.to_owned(),
    };
    let refuse = |message: String| Err(AwsError::new("InvalidParameterValue", message));
    match name.as_str() {
        "-1" => {}
        "tcp" | "udp" => {
            let (Some(from), Some(to)) = (from_port, to_port) else {
                return refuse(
                    "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.".to_owned(),
                );
            };
            if let Some(port) = [from, to].into_iter().find(|port| !(0..=65_535).contains(port)) {
                return refuse(format!("Invalid value '{port}' for portRange. Must be in the range [0,65535]"));
            }
            if from > to {
                return refuse(format!("Invalid TCP/UDP port range ({from}:{to})"));
            }
        }
        "icmp" | "icmpv6" => {}
        other if other.parse::<u8>().is_ok() => {}
        other => return refuse(format!("Invalid value '{other}' for IP protocol. Unknown protocol.")),
    }
    Ok(name)
}

/// The rules that `IpPermissions` means, one for each peer.
fn asked_rules(input: &Query, egress: bool) -> Result<Vec<Rule>, AwsError> {
    let mut rules = Vec::new();
    for permission in input.structures("IpPermissions") {
        let (from_port, to_port) = (permission.number("FromPort")?, permission.number("ToPort")?);
        let protocol = protocol_of(permission, from_port, to_port)?;
        let is_all = protocol == "-1";
        let mut push = |peer: Peer, description: Option<String>| {
            rules.push(Rule {
                egress,
                protocol: protocol.clone(),
                from_port: from_port.filter(|_| !is_all),
                to_port: to_port.filter(|_| !is_all),
                peer,
                description,
            });
        };
        for range in permission.structures("IpRanges") {
            let cidr = range.required("CidrIp")?;
            check_cidr::<std::net::Ipv4Addr>(&cidr, 32)?;
            push(Peer::V4(cidr), range.optional("Description"));
        }
        for range in permission.structures("Ipv6Ranges") {
            let cidr = range.required("CidrIpv6")?;
            check_cidr::<std::net::Ipv6Addr>(&cidr, 128)?;
            push(Peer::V6(cidr), range.optional("Description"));
        }
        for group in permission.structures("Groups") {
            let _ = group.optional("UserId");
            push(Peer::Group(group.required("GroupId")?), group.optional("Description"));
        }
        for prefix in permission.structures("PrefixListIds") {
            push(Peer::PrefixList(prefix.required("PrefixListId")?), prefix.optional("Description"));
        }
    }
    if rules.is_empty() {
        return Err(AwsError::new("MissingParameter", "The request must contain the parameter ipPermissions"));
    }
    if rules.iter().enumerate().any(|(index, rule)| rules[..index].iter().any(|earlier| same(earlier, rule))) {
        let message = "The same permission must not appear multiple times";
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(rules)
}

fn check_cidr<Address: std::str::FromStr>(text: &str, most_bits: u8) -> Result<(), AwsError> {
    let is_block = |(address, bits): (&str, &str)| {
        address.parse::<Address>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= most_bits)
    };
    if text.split_once('/').is_some_and(is_block) {
        return Ok(());
    }
    Err(AwsError::new("InvalidParameterValue", format!("CIDR block {text} is malformed")))
}

fn same(one: &Rule, other: &Rule) -> bool {
    (one.egress, &one.protocol, one.from_port, one.to_port, &one.peer)
        == (other.egress, &other.protocol, other.from_port, other.to_port, &other.peer)
}

fn authorize(call: &mut Call<'_>, input: &Query, egress: bool) -> Result<Vec<Element>, AwsError> {
    let id = input.required("GroupId")?;
    check_id(&id)?;
    let rules = asked_rules(input, egress)?;
    let state = here(call);
    let group = state.security_groups.get(&id).ok_or_else(|| not_found(&id))?;
    for rule in &rules {
        if let Peer::Group(other) = &rule.peer {
            state.security_groups.get(other).filter(|other| other.vpc == group.vpc).ok_or_else(|| not_found(other))?;
        }
    }
    if let Some(rule) = rules.iter().find(|rule| group.rules.values().any(|known| same(known, rule))) {
        let protocol = if rule.protocol == "-1" { "ALL".to_owned() } else { rule.protocol.to_ascii_uppercase() };
        let ports = match (rule.from_port, rule.to_port) {
            (Some(from), Some(to)) => format!(", from port: {from}, to port: {to}"),
            _ => String::new(),
        };
        let peer = text_of(&rule.peer);
        let message = format!("the specified rule \"peer: {peer}, {protocol}{ports}, ALLOW\" already exists");
        return Err(AwsError::new("InvalidPermission.Duplicate", message));
    }
    dry_run(input)?;
    let rules: Vec<(String, Rule)> = rules.into_iter().map(|rule| (call.world.new_id("sgr"), rule)).collect();
    let items: Vec<_> = rules.iter().map(|(rule_id, rule)| rule_item(rule_id, &id, rule)).collect();
    if let Some(group) = here(call).security_groups.get_mut(&id) {
        group.rules.extend(rules);
    }
    Ok(vec![leaf("return", true), list("securityGroupRuleSet", "item", items)])
}

fn revoke(call: &mut Call<'_>, input: &Query, egress: bool) -> Result<Vec<Element>, AwsError> {
    let id = input.required("GroupId")?;
    check_id(&id)?;
    let ids = input.list("SecurityGroupRuleId");
    let group = here(call).security_groups.get_mut(&id).ok_or_else(|| not_found(&id))?;
    let missing =
        || AwsError::new("InvalidPermission.NotFound", "The specified rule does not exist in this security group.");
    let goes: Vec<String> = if ids.is_empty() {
        let rules = asked_rules(input, egress)?;
        let find = |rule: &Rule| group.rules.iter().find(|(_, known)| same(known, rule)).map(|(id, _)| id.clone());
        rules.iter().map(|rule| find(rule).ok_or_else(missing)).collect::<Result<_, _>>()?
    } else {
        let is_there = |id: &String| group.rules.get(id).is_some_and(|rule| rule.egress == egress);
        if let Some(id) = ids.iter().find(|id| !is_there(id)) {
            return Err(no_rule(id));
        }
        ids
    };
    dry_run(input)?;
    group.rules.retain(|id, _| !goes.contains(id));
    Ok(vec![leaf("return", true)])
}

fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("GroupId")?;
    check_id(&id)?;
    let now = call.now;
    let state = here(call);
    let group = state.security_groups.get(&id).ok_or_else(|| not_found(&id))?;
    if group.name == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(AwsError::new("CannotDelete", message));
    }
    let is_used = state
        .instances
        .values()
        .any(|instance| instance.groups.contains(&id) && state_of(instance, now) != InstanceState::Terminated);
    let refers = |group: &SecurityGroup| group.rules.values().any(|rule| rule.peer == Peer::Group(id.clone()));
    let is_referred = state.security_groups.iter().any(|(other, group)| *other != id && refers(group));
    if is_used || is_referred {
        return Err(AwsError::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    dry_run(input)?;
    state.security_groups.remove(&id);
    state.tags.remove(&id);
    Ok(vec![leaf("return", true), leaf("groupId", &id)])
}
