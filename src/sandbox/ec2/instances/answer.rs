//! An instance, a reservation and a network interface as EC2 answers them.

use jiff::Timestamp;

use super::super::catalog;
use super::super::placement::{InstanceState, private_ip, public_ip, state_of};
use super::super::state::{Instance, State, VolumeData};
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};
use crate::sandbox::world::ACCOUNT;

/// An instance with the state around it, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Where it lies.
    pub state: &'a State,
    /// Its region's name, for host names.
    pub region: &'a str,
    /// Its id.
    pub id: &'a str,
    /// What is kept of it.
    pub instance: &'a Instance,
    /// The clock.
    pub now: Timestamp,
}

/// EC2's times, to the second.
pub fn time(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// `tagSet`.
pub fn tag_set(state: &State, id: &str) -> Element {
    let tags = state.tags.get(id).into_iter().flatten();
    list("tagSet", "item", tags.map(|(key, value)| vec![leaf("key", key), leaf("value", value)]))
}

/// `instanceState`, `currentState`, `previousState`.
pub fn instance_state(name: &str, state: InstanceState) -> Element {
    node(name, vec![leaf("code", state.code()), leaf("name", state.name())])
}

/// The reservation of these instances, which all belong to it.
pub fn reservation(id: &str, instances: impl IntoIterator<Item = Vec<Element>>) -> Vec<Element> {
    vec![
        leaf("reservationId", id),
        leaf("ownerId", ACCOUNT),
        // Groups of EC2-Classic: always empty in a VPC.
        node("groupSet", Vec::new()),
        list("instancesSet", "item", instances),
    ]
}

impl Seen<'_> {
    /// What it is now.
    pub fn is(&self) -> InstanceState {
        state_of(self.instance, self.now)
    }

    /// `ip-172-31-0-4.us-east-2.compute.internal`; the region of all is written in another way.
    pub fn private_name(&self) -> String {
        let ip = self.instance.private_ip.replace('.', "-");
        match self.region {
            "us-east-1" => format!("ip-{ip}.ec2.internal"),
            region => format!("ip-{ip}.{region}.compute.internal"),
        }
    }

    /// The public host name, where there is a public address.
    pub fn public_name(&self) -> Option<String> {
        let ip = public_ip(self.instance, self.now)?.replace('.', "-");
        Some(match self.region {
            "us-east-1" => format!("ec2-{ip}.compute-1.amazonaws.com"),
            region => format!("ec2-{ip}.{region}.compute.amazonaws.com"),
        })
    }

    /// An item of `instancesSet`.
    pub fn item(&self) -> Vec<Element> {
        let instance = self.instance;
        let data = &instance.data;
        let (state, is_over) = (self.is(), self.is() == InstanceState::Terminated);
        let kind = data.instance_type.as_deref().unwrap_or_default();
        let image = data.image.as_deref().unwrap_or_default();
        let is_ending = !state.is_alive();
        let reason = instance.end_reason.as_ref().filter(|_| is_ending);
        let private_name = if is_over { String::new() } else { self.private_name() };
        let monitoring = if data.monitoring == Some(true) { "enabled" } else { "disabled" };

        let mut item = vec![
            leaf("instanceId", self.id),
            leaf("imageId", image),
            instance_state("instanceState", state),
            leaf("privateDnsName", private_name),
            leaf("dnsName", self.public_name().unwrap_or_default()),
            leaf("reason", reason.map(|reason| reason.transition.as_str()).unwrap_or_default()),
            leaf("amiLaunchIndex", instance.launch_index),
            node("productCodes", Vec::new()),
            leaf("instanceType", kind),
            leaf("launchTime", time(instance.launched_at)),
            node(
                "placement",
                vec![
                    leaf("availabilityZone", &instance.zone),
                    leaf("groupName", ""),
                    leaf("tenancy", data.tenancy.as_deref().unwrap_or("default")),
                ],
            ),
            node("monitoring", vec![leaf("state", monitoring)]),
        ];
        if !is_over {
            item.push(leaf("subnetId", &instance.subnet));
            item.push(leaf("vpcId", &instance.vpc));
        }
        item.extend(maybe("privateIpAddress", private_ip(instance, self.now)));
        item.extend(maybe("ipAddress", public_ip(instance, self.now)));
        item.push(leaf("sourceDestCheck", true));
        item.push(self.groups("groupSet"));
        item.extend(state_reason(state, reason));
        item.push(leaf("architecture", &instance.architecture));
        item.push(leaf("rootDeviceType", "ebs"));
        item.extend(maybe("rootDeviceName", catalog::image(self.region, image).map(|image| image.root_device)));
        item.push(self.block_devices());
        item.push(leaf("virtualizationType", "hvm"));
        item.push(leaf("clientToken", instance.client_token.as_deref().unwrap_or_default()));
        item.push(tag_set(self.state, self.id));
        item.push(leaf("hypervisor", "xen"));
        item.push(if is_over {
            node("networkInterfaceSet", Vec::new())
        } else {
            list("networkInterfaceSet", "item", [self.interface_of_instance()])
        });
        if let (Some(arn), Some(id)) = (&instance.profile_arn, &instance.profile_id) {
            item.push(node("iamInstanceProfile", vec![leaf("arn", arn), leaf("id", id)]));
        }
        item.push(leaf("ebsOptimized", data.ebs_optimized.unwrap_or(false)));
        item.push(leaf("enaSupport", true));
        if let Some(request) = &instance.spot_request {
            item.push(leaf("instanceLifecycle", "spot"));
            item.push(leaf("spotInstanceRequestId", request));
        }
        if let Some(kind) = catalog::instance_type(kind) {
            let threads = if instance.architecture == "x86_64" && kind.vcpus > 1 { 2 } else { 1 };
            item.push(node(
                "cpuOptions",
                vec![leaf("coreCount", kind.vcpus / threads), leaf("threadsPerCore", threads)],
            ));
        }
        item.push(self.metadata_options());
        item.push(leaf("platformDetails", "Linux/UNIX"));
        item.push(leaf("usageOperation", "RunInstances"));
        item.push(leaf("usageOperationUpdateTime", time(instance.launched_at)));
        item
    }

    fn groups(&self, name: &str) -> Element {
        let named = self.instance.groups.iter().map(|id| {
            let name = self.state.security_groups.get(id).map(|group| group.name.as_str()).unwrap_or_default();
            vec![leaf("groupId", id), leaf("groupName", name)]
        });
        list(name, "item", named)
    }

    /// A terminated instance has no volumes any more, but those that outlive it.
    fn block_devices(&self) -> Element {
        let is_over = self.is() == InstanceState::Terminated;
        let devices = self.instance.volumes.iter().filter(|_| !is_over).map(|(device, volume)| {
            let deletes =
                volume_data(self.instance, device).is_none_or(|data| data.delete_on_termination != Some(false));
            let status = if self.is() == InstanceState::Pending { "attaching" } else { "attached" };
            vec![
                leaf("deviceName", device),
                node(
                    "ebs",
                    vec![
                        leaf("volumeId", volume),
                        leaf("status", status),
                        leaf("attachTime", time(self.instance.launched_at)),
                        leaf("deleteOnTermination", deletes),
                    ],
                ),
            ]
        });
        list("blockDeviceMapping", "item", devices)
    }

    fn metadata_options(&self) -> Element {
        let said = &self.instance.data.metadata;
        let state = if self.is() == InstanceState::Pending { "pending" } else { "applied" };
        node(
            "metadataOptions",
            vec![
                leaf("state", state),
                leaf("httpTokens", said.tokens.as_deref().unwrap_or("optional")),
                leaf("httpPutResponseHopLimit", said.hop_limit.unwrap_or(1)),
                leaf("httpEndpoint", said.endpoint.as_deref().unwrap_or("enabled")),
                leaf("httpProtocolIpv6", said.ipv6.as_deref().unwrap_or("disabled")),
                leaf("instanceMetadataTags", said.tags.as_deref().unwrap_or("disabled")),
            ],
        )
    }

    /// What both sides of a network interface tell.
    fn interface_base(&self) -> Vec<Element> {
        let instance = self.instance;
        let description = instance.data.interfaces.first().and_then(|interface| interface.description.as_deref());
        let mut item = vec![
            leaf("networkInterfaceId", &instance.interface),
            leaf("subnetId", &instance.subnet),
            leaf("vpcId", &instance.vpc),
            leaf("description", description.unwrap_or_default()),
            leaf("ownerId", ACCOUNT),
            leaf("status", "in-use"),
            leaf("macAddress", mac_address(&instance.private_ip)),
            leaf("privateIpAddress", &instance.private_ip),
            leaf("privateDnsName", self.private_name()),
            leaf("sourceDestCheck", true),
            leaf("interfaceType", "interface"),
            self.groups("groupSet"),
        ];
        let association = public_ip(instance, self.now).map(|ip| {
            let name = self.public_name().unwrap_or_default();
            vec![leaf("publicIp", ip), leaf("publicDnsName", name), leaf("ipOwnerId", "amazon")]
        });
        item.extend(association.clone().map(|association| node("association", association)));
        let mut address = vec![
            leaf("privateIpAddress", &instance.private_ip),
            leaf("privateDnsName", self.private_name()),
            leaf("primary", true),
        ];
        address.extend(association.map(|association| node("association", association)));
        item.push(list("privateIpAddressesSet", "item", [address]));
        item.push(node("ipv6AddressesSet", Vec::new()));
        item
    }

    fn attachment(&self) -> Vec<Element> {
        let state = if self.is() == InstanceState::Pending { "attaching" } else { "attached" };
        let deletes = self.instance.data.interfaces.first().and_then(|interface| interface.delete_on_termination);
        vec![
            leaf("attachmentId", self.instance.interface.replacen("eni-", "eni-attach-", 1)),
            leaf("deviceIndex", 0),
            leaf("networkCardIndex", 0),
            leaf("status", state),
            leaf("attachTime", time(self.instance.launched_at)),
            leaf("deleteOnTermination", deletes.unwrap_or(true)),
        ]
    }

    fn interface_of_instance(&self) -> Vec<Element> {
        let mut item = self.interface_base();
        item.push(node("attachment", self.attachment()));
        item
    }

    /// An item of `DescribeNetworkInterfaces`.
    pub fn interface(&self) -> Vec<Element> {
        let mut item = self.interface_base();
        let mut attachment = self.attachment();
        attachment.push(leaf("instanceId", self.id));
        attachment.push(leaf("instanceOwnerId", ACCOUNT));
        item.push(node("attachment", attachment));
        item.push(leaf("availabilityZone", &self.instance.zone));
        item.push(leaf("requesterManaged", false));
        item.push(tag_set(self.state, &self.instance.interface));
        item
    }
}

/// While pending EC2 writes `pending` here, while running nothing, afterwards the reason.
fn state_reason(state: InstanceState, reason: Option<&super::super::state::EndReason>) -> Option<Element> {
    let (code, message) = match (state, reason) {
        (InstanceState::Pending, _) => ("pending", "pending"),
        (_, Some(reason)) => (reason.code.as_str(), reason.message.as_str()),
        _ => return None,
    };
    Some(node("stateReason", vec![leaf("code", code), leaf("message", message)]))
}

/// What a volume was made with.
pub fn volume_data<'a>(instance: &'a Instance, device: &str) -> Option<&'a VolumeData> {
    instance.data.volumes.iter().find(|volume| volume.device == device)
}

/// Made up from the private address, so that it stays the same.
pub fn mac_address(ip: &str) -> String {
    let parts = ip.split('.').map(|part| format!("{:02x}", part.parse::<u8>().unwrap_or_default()));
    format!("0e:5b:{}", parts.collect::<Vec<_>>().join(":"))
}
