//! The security group: no inbound rule, ever; outbound what `egress` says.
//!
//! Names are unique within a VPC only, so the group is looked for by name everywhere in the region: when the file moves
//! to another VPC, the one in the old VPC is removed. EC2 gives a new group an outbound rule to everywhere by itself, and
//! in a VPC with IPv6 a second one for `::/0`.

use std::collections::BTreeSet;
use std::fmt;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType, SecurityGroup, TagSpecification};

use super::{Action, Change, Kind, Making, Ownership, ec2_tags, missing_tags, ownership, pairs, taken};
use crate::cloud::{Cloud, call, lacking, poll};
use crate::decide::classify::Class;
use crate::decide::names;
use crate::error::{Error, Result};
use crate::market::filter;
use crate::spec::{Egress, Spec, WorkerName};

/// What the group should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub name: String,
    stack: WorkerName,
    vpc: String,
    outbound: BTreeSet<Rule>,
    /// Rules that may stand there without being asked for: IPv6 beside `egress: all`.
    tolerated: BTreeSet<Rule>,
    tags: Vec<(String, String)>,
}

/// A rule: protocol, ports, the other side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    protocol: String,
    ports: Option<(i32, i32)>,
    /// A CIDR block, a group or a prefix list.
    peer: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == "-1" { "all" } else { &self.protocol };
        match self.ports {
            Some((from, to)) if from == to => write!(f, "{from}/{protocol} {}", self.peer),
            Some((from, to)) => write!(f, "{from}-{to}/{protocol} {}", self.peer),
            None => write!(f, "{protocol} {}", self.peer),
        }
    }
}

/// A group of that name as it is.
#[derive(Debug, Clone)]
pub struct Observed {
    /// `sg-…`.
    pub id: String,
    vpc: String,
    ownership: Ownership,
    inbound: Vec<IpPermission>,
    outbound: Vec<IpPermission>,
    tags: Vec<(String, String)>,
}

const ANYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// The group for this spec in this VPC.
#[must_use]
pub fn desired(spec: &Spec, vpc: &str) -> Desired {
    let rule = |protocol: &str, ports, peer: &str| Rule { protocol: protocol.to_owned(), ports, peer: peer.to_owned() };
    let (outbound, tolerated) = match &spec.network.egress {
        Egress::All => {
            (BTreeSet::from([rule("-1", None, ANYWHERE[0])]), BTreeSet::from([rule("-1", None, ANYWHERE[1])]))
        }
        Egress::Ports(ports) => {
            let both = |port: &crate::spec::Port| {
                let number = i32::from(port.number);
                ANYWHERE.map(|peer| rule(port.protocol.as_str(), Some((number, number)), peer))
            };
            (ports.iter().flat_map(both).collect(), BTreeSet::new())
        }
    };
    Desired {
        name: names::base(&spec.name),
        stack: spec.name.clone(),
        vpc: vpc.to_owned(),
        outbound,
        tolerated,
        tags: super::tags(&spec.tags, &spec.name),
    }
}

/// Every group of that name in the region.
///
/// # Errors
/// The call's failure.
pub async fn observe(cloud: &Cloud, name: &WorkerName) -> Result<Vec<Observed>> {
    let group = names::base(name);
    let request = cloud.ec2.describe_security_groups().filters(filter("group-name", [&group]));
    let answer = call("DescribeSecurityGroups", request.send())
        .await
        .map_err(|failure| failure.doing(&format!("looking for the security group `{group}`")))?;
    Ok(answer.security_groups().iter().filter_map(|found| read(found, name)).collect())
}

fn read(group: &SecurityGroup, name: &WorkerName) -> Option<Observed> {
    Some(Observed {
        id: group.group_id()?.to_owned(),
        vpc: group.vpc_id().unwrap_or_default().to_owned(),
        ownership: ownership(pairs(group.tags()), name),
        inbound: group.ip_permissions().to_vec(),
        outbound: group.ip_permissions_egress().to_vec(),
        tags: pairs(group.tags()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}

/// This stack's groups, each with its inbound rules for people; empty where it has none, as it should.
#[must_use]
pub fn inbound(observed: &[Observed]) -> Vec<(&str, String)> {
    let ours = observed.iter().filter(|group| group.ownership == Ownership::Ours);
    ours.map(|group| (group.id.as_str(), list(&rules(&group.inbound)))).collect()
}

/// The change, and the groups of ours in other VPCs that are left over from an earlier `vpc`.
///
/// # Errors
/// The name is taken by something unmanaged.
pub fn diff(desired: &Desired, observed: &[Observed], adopt: bool) -> Result<Change> {
    let change = |action, reason: String| Change::new(Kind::SecurityGroup, &desired.name, action, reason);
    let stale = observed.iter().filter(|group| group.vpc != desired.vpc && group.ownership == Ownership::Ours).count();
    let Some(group) = observed.iter().find(|group| group.vpc == desired.vpc) else {
        return Ok(match stale {
            0 => change(Action::Create, format!("not there; outbound {}, no inbound rule", list(&desired.outbound))),
            _ => change(Action::Replace, format!("the file names another VPC, {}", desired.vpc)),
        });
    };
    if group.ownership != Ownership::Ours && !(adopt && group.ownership == Ownership::Nobodys) {
        return Err(taken(Kind::SecurityGroup, &desired.name, group.ownership));
    }
    let mut reasons = Vec::new();
    let inbound = rules(&group.inbound);
    if !inbound.is_empty() {
        reasons.push(format!("removes the inbound rule {}", list(&inbound)));
    }
    let (add, remove) = outbound_difference(desired, group);
    if !add.is_empty() {
        reasons.push(format!("adds outbound {}", list(&add)));
    }
    if !remove.is_empty() {
        reasons.push(format!("removes outbound {}", list(&remove)));
    }
    let tags = missing(desired, group);
    if !tags.is_empty() {
        let keys: Vec<&str> = tags.iter().map(|(key, _)| key.as_str()).collect();
        reasons.push(format!("tags {}", keys.join(", ")));
    }
    let action = if reasons.is_empty() { Action::None } else { Action::Update };
    Ok(change(action, reasons.join("; ")).id(Some(group.id.clone())))
}

fn missing(desired: &Desired, group: &Observed) -> Vec<(String, String)> {
    missing_tags(&desired.tags, group.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn outbound_difference(desired: &Desired, group: &Observed) -> (BTreeSet<Rule>, BTreeSet<Rule>) {
    let found = rules(&group.outbound);
    let add = desired.outbound.difference(&found).cloned().collect();
    let remove =
        found.iter().filter(|rule| !desired.outbound.contains(rule) && !desired.tolerated.contains(rule)).cloned();
    (add, remove.collect())
}

fn list(rules: &BTreeSet<Rule>) -> String {
    rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// EC2 groups rules by protocol and ports; taken apart they can be compared.
fn rules(permissions: &[IpPermission]) -> BTreeSet<Rule> {
    let mut all = BTreeSet::new();
    for permission in permissions {
        let protocol = permission.ip_protocol().unwrap_or("-1").to_owned();
        let ports = permission.from_port().zip(permission.to_port()).filter(|_| protocol != "-1");
        let v4 = permission.ip_ranges().iter().filter_map(IpRange::cidr_ip);
        let v6 = permission.ipv6_ranges().iter().filter_map(Ipv6Range::cidr_ipv6);
        let groups = permission.user_id_group_pairs().iter().filter_map(|pair| pair.group_id());
        let lists = permission.prefix_list_ids().iter().filter_map(|list| list.prefix_list_id());
        all.extend(v4.chain(v6).chain(groups).chain(lists).map(|peer| Rule {
            protocol: protocol.clone(),
            ports,
            peer: peer.to_owned(),
        }));
    }
    all
}

fn permission(rule: &Rule) -> IpPermission {
    let mut builder = IpPermission::builder().ip_protocol(&rule.protocol);
    if let Some((from, to)) = rule.ports {
        builder = builder.from_port(from).to_port(to);
    }
    if rule.peer.contains(':') {
        builder = builder.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(&rule.peer).build());
    } else {
        builder = builder.ip_ranges(IpRange::builder().cidr_ip(&rule.peer).build());
    }
    builder.build()
}

/// Makes the group as desired and answers its id. `told` hears how the making of a new one stands.
///
/// # Errors
/// A call's failure; the name was taken meanwhile by something unmanaged.
pub async fn apply(
    cloud: &Cloud,
    desired: &Desired,
    observed: &[Observed],
    told: impl Fn(Making<'_>),
) -> Result<String> {
    let doing = |what: &str| format!("{what} the security group `{}` in {}", desired.name, desired.vpc);
    let group = match observed.iter().find(|group| group.vpc == desired.vpc) {
        Some(group) => group.clone(),
        None => create(cloud, desired, &told).await?,
    };
    let tags = missing(desired, &group);
    if !tags.is_empty() {
        let request = cloud.ec2.create_tags().resources(&group.id).set_tags(Some(ec2_tags(&tags)));
        call("CreateTags", request.send()).await.map_err(|failure| failure.doing(&doing("tagging")))?;
    }
    let (add, remove) = outbound_difference(desired, &group);
    let inbound = async {
        if group.inbound.is_empty() {
            return Ok(());
        }
        let request = cloud.ec2.revoke_security_group_ingress().group_id(&group.id);
        let request = request.set_ip_permissions(Some(group.inbound.clone()));
        settled(call("RevokeSecurityGroupIngress", request.send()).await, &doing("removing the inbound rules of"))
    };
    let less = async {
        if remove.is_empty() {
            return Ok(());
        }
        let request = cloud.ec2.revoke_security_group_egress().group_id(&group.id);
        // Whole permissions as EC2 has them, cut to the rules that go.
        let permissions =
            group.outbound.iter().filter(|found| rules(&[(*found).clone()]).iter().any(|rule| remove.contains(rule)));
        let request = request.set_ip_permissions(Some(permissions.map(|found| only(found, &remove)).collect()));
        settled(call("RevokeSecurityGroupEgress", request.send()).await, &doing("removing outbound rules of"))
    };
    let more = async {
        if add.is_empty() {
            return Ok(());
        }
        let request = cloud.ec2.authorize_security_group_egress().group_id(&group.id);
        let request = request.set_ip_permissions(Some(add.iter().map(permission).collect()));
        settled(call("AuthorizeSecurityGroupEgress", request.send()).await, &doing("adding outbound rules to"))
    };
    let (inbound, less, more) = futures::join!(inbound, less, more);
    inbound.and(less).and(more)?;
    Ok(group.id)
}

/// A permission reduced to the peers that are among `rules`.
fn only(found: &IpPermission, remove: &BTreeSet<Rule>) -> IpPermission {
    let goes = |peer: Option<&str>| {
        remove.iter().any(|rule| {
            Some(rule.peer.as_str()) == peer
                && rule.protocol == found.ip_protocol().unwrap_or("-1")
                && (rule.protocol == "-1" || rule.ports == found.from_port().zip(found.to_port()))
        })
    };
    let mut cut = found.clone();
    cut.ip_ranges = Some(found.ip_ranges().iter().filter(|range| goes(range.cidr_ip())).cloned().collect());
    cut.ipv6_ranges = Some(found.ipv6_ranges().iter().filter(|range| goes(range.cidr_ipv6())).cloned().collect());
    cut.user_id_group_pairs =
        Some(found.user_id_group_pairs().iter().filter(|pair| goes(pair.group_id())).cloned().collect());
    cut.prefix_list_ids =
        Some(found.prefix_list_ids().iter().filter(|list| goes(list.prefix_list_id())).cloned().collect());
    cut
}

/// A rule that another run has added or removed meanwhile is as good as done.
fn settled<T>(answer: Result<T, crate::cloud::Failure>, doing: &str) -> Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if matches!(failure.class, Class::AlreadyExists | Class::NotFound) => Ok(()),
        Err(failure) => Err(failure.doing(doing)),
    }
}

async fn create(cloud: &Cloud, desired: &Desired, told: &impl Fn(Making<'_>)) -> Result<Observed> {
    let doing = format!("creating the security group `{}` in {}", desired.name, desired.vpc);
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::SecurityGroup)
        .set_tags(Some(ec2_tags(&desired.tags)))
        .build();
    let request = cloud
        .ec2
        .create_security_group()
        .group_name(&desired.name)
        .description(format!("spotctl stack {}: outbound only", desired.stack))
        .vpc_id(&desired.vpc)
        .tag_specifications(tags);
    told(Making::Asked);
    match call("CreateSecurityGroup", request.send()).await {
        Ok(answer) => {
            let id = answer.group_id().ok_or_else(|| lacking("groupId", "CreateSecurityGroup"))?.to_owned();
            told(Making::Made(Some(&id)));
            Ok(Observed {
                id,
                vpc: desired.vpc.clone(),
                ownership: Ownership::Ours,
                inbound: Vec::new(),
                outbound: vec![permission(&Rule {
                    protocol: "-1".to_owned(),
                    ports: None,
                    peer: ANYWHERE[0].to_owned(),
                })],
                tags: desired.tags.clone(),
            })
        }
        // Another run was first, or an answer was lost: the group is there, or will be visible in a moment.
        Err(failure) if failure.class == Class::AlreadyExists => {
            let found = poll::poll(poll::VISIBLE_SOON, async || {
                let groups = observe(cloud, &desired.stack).await?;
                Ok::<_, Error>(match groups.into_iter().find(|group| group.vpc == desired.vpc) {
                    Some(group) => poll::Look::Done(group),
                    None => poll::Look::Again,
                })
            });
            let group = found.await?.map_err(|poll::TimedOut| failure.doing(&doing))?;
            match group.ownership {
                Ownership::Ours => {
                    told(Making::Made(Some(&group.id)));
                    Ok(group)
                }
                other => {
                    told(Making::Refused);
                    Err(taken(Kind::SecurityGroup, &desired.name, other))
                }
            }
        }
        Err(failure) => {
            told(Making::failed(failure.class));
            Err(failure.doing(&doing))
        }
    }
}

/// Our groups in other VPCs than the desired one.
#[must_use]
pub fn stale<'a>(desired: &Desired, observed: &'a [Observed]) -> Vec<&'a Observed> {
    observed.iter().filter(|group| group.vpc != desired.vpc && group.ownership == Ownership::Ours).collect()
}

/// Only ours, in any VPC.
#[must_use]
pub fn owned(observed: &[Observed]) -> Vec<&Observed> {
    observed.iter().filter(|group| group.ownership == Ownership::Ours).collect()
}

/// Removes a group. EC2 holds on to it until the network interfaces of terminated workers are gone, which takes a moment;
/// `in_use` is asked each time it does: a worker that no read showed yet may be why.
///
/// # Errors
/// A call's failure; something else uses the group.
pub async fn destroy(cloud: &Cloud, group: &Observed, in_use: impl AsyncFn() -> Result<()>) -> Result<()> {
    let doing = format!("deleting the security group {}", group.id);
    let gone = poll::poll(poll::RELEASED_SOON, async || {
        match call("DeleteSecurityGroup", cloud.ec2.delete_security_group().group_id(&group.id).send()).await {
            Ok(_) => Ok(poll::Look::Done(())),
            Err(failure) if failure.class == Class::NotFound => Ok(poll::Look::Done(())),
            Err(failure) if failure.class == Class::InUse => in_use().await.map(|()| poll::Look::Again),
            Err(failure) => Err(failure.doing(&doing)),
        }
    });
    gone.await?.map_err(|poll::TimedOut| {
        Error::new(crate::error::Kind::Timeout, format!("{doing}: something still uses it"))
            .hint(format!("see what: aws ec2 describe-network-interfaces --filters Name=group-id,Values={}", group.id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Port, Protocol};

    fn all(peer: &str) -> IpPermission {
        permission(&Rule { protocol: "-1".to_owned(), ports: None, peer: peer.to_owned() })
    }

    fn tcp(port: i32, peer: &str) -> IpPermission {
        permission(&Rule { protocol: "tcp".to_owned(), ports: Some((port, port)), peer: peer.to_owned() })
    }

    fn wish(egress: Egress) -> Desired {
        let mut spec = crate::config::parse("name: w\ncontainer: {image: i}\n", std::path::Path::new("x")).unwrap();
        spec.network.egress = egress;
        desired(&spec, "vpc-1")
    }

    fn group(wish: &Desired, inbound: Vec<IpPermission>, outbound: Vec<IpPermission>) -> Observed {
        Observed {
            id: "sg-1".to_owned(),
            vpc: "vpc-1".to_owned(),
            ownership: Ownership::Ours,
            inbound,
            outbound,
            tags: wish.tags.clone(),
        }
    }

    #[test]
    fn an_inbound_rule_is_always_a_change() {
        let wish = wish(Egress::All);
        let quiet = group(&wish, vec![], vec![all("0.0.0.0/0"), all("::/0")]);
        assert_eq!(diff(&wish, &[quiet], false).unwrap().action, Action::None);
        let open = group(&wish, vec![tcp(22, "0.0.0.0/0")], vec![all("0.0.0.0/0")]);
        let change = diff(&wish, &[open], false).unwrap();
        assert_eq!(
            (change.action, change.reason.as_str()),
            (Action::Update, "removes the inbound rule 22/tcp 0.0.0.0/0")
        );
    }

    #[test]
    fn outbound_rules_become_exactly_the_files() {
        let wish = wish(Egress::Ports(BTreeSet::from([Port { number: 443, protocol: Protocol::Tcp }])));
        let open = group(&wish, vec![], vec![all("0.0.0.0/0"), tcp(443, "0.0.0.0/0")]);
        let (add, remove) = outbound_difference(&wish, &open);
        assert_eq!((list(&add).as_str(), list(&remove).as_str()), ("443/tcp ::/0", "all 0.0.0.0/0"));
    }

    #[test]
    fn a_group_without_our_tag_is_refused_until_adopted_and_anothers_always() {
        let wish = wish(Egress::All);
        let mut foreign = group(&wish, vec![], vec![all("0.0.0.0/0")]);
        foreign.ownership = Ownership::Nobodys;
        foreign.tags.clear();
        assert!(diff(&wish, &[foreign.clone()], false).unwrap_err().hints[0].contains("--adopt"));
        assert_eq!(diff(&wish, &[foreign.clone()], true).unwrap().action, Action::Update);
        foreign.ownership = Ownership::Anothers;
        assert!(diff(&wish, &[foreign], true).is_err());
    }
}
