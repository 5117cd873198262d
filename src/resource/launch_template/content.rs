//! What is in the launch template: plain data with a fingerprint, and AWS's request made of it.

use aws_sdk_ec2::types::{
    InstanceInterruptionBehavior, InstanceType, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMarketOptionsRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceMetadataTagsState, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    LaunchTemplateSpotMarketOptionsRequest, LaunchTemplateTagSpecificationRequest, MarketType,
    RequestLaunchTemplateData, ResourceType, ShutdownBehavior, SpotInstanceType, VolumeType,
};
use serde_json::{Value, json};

use super::Which;
use crate::decide::names::fingerprint;
use crate::resource::ec2_tags;
use crate::spec::{Usd, Volume};

/// The type and the subnet that a launch by the template's name alone gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Instance type.
    pub instance_type: String,
    /// Subnet.
    pub subnet: String,
}

/// Everything a launch needs, but the security group's id, which may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The pinned image.
    pub image: String,
    /// The device name of its root volume.
    pub root_device: String,
    /// The root volume, already raised to the image's minimum.
    pub volume: Volume,
    /// The instance profile's name.
    pub profile: String,
    /// Base64, as AWS takes it.
    pub user_data: String,
    /// The cap; AWS enforces it.
    pub max_price: Option<Usd>,
    /// Tags of the worker and what belongs to it.
    pub tags: Vec<(String, String)>,
    /// Type and subnet; not in the fingerprint.
    pub target: Target,
}

/// Deep Learning images are far from the limit of two hops only when no container asks: behind Docker's bridge the
/// answer's hop count is one too few at 1.
const HOP_LIMIT: i32 = 2;

impl Content {
    /// Whether two templates are the same but for type and subnet.
    #[must_use]
    pub fn fingerprint(&self, which: Which) -> String {
        fingerprint(&self.compared(which).to_string())
    }

    /// What is compared. A field that the request sends and this lacks would never be updated in old templates.
    fn compared(&self, which: Which) -> Value {
        json!({
            "format": 1,
            "spot": which == Which::Spot,
            "image": self.image,
            "root_device": self.root_device,
            "volume": [self.volume.kind.as_str(), self.volume.size.0, self.volume.iops, self.volume.throughput],
            "profile": self.profile,
            "user_data": self.user_data,
            "max_price": self.max_price,
            "tags": self.tags,
        })
    }

    /// AWS's request.
    #[must_use]
    pub fn request(&self, which: Which, group: &str) -> RequestLaunchTemplateData {
        let root = LaunchTemplateEbsBlockDeviceRequest::builder()
            .volume_type(VolumeType::from(self.volume.kind.as_str()))
            .volume_size(i32::try_from(self.volume.size.0).unwrap_or(i32::MAX))
            .set_iops(self.volume.iops.and_then(|iops| i32::try_from(iops).ok()))
            .set_throughput(self.volume.throughput.and_then(|mib| i32::try_from(mib).ok()))
            .delete_on_termination(true)
            .build();
        let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
            .device_index(0)
            .subnet_id(&self.target.subnet)
            .groups(group)
            .associate_public_ip_address(true)
            .delete_on_termination(true)
            .build();
        let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
            .http_tokens(LaunchTemplateHttpTokensState::Required)
            .http_put_response_hop_limit(HOP_LIMIT)
            .instance_metadata_tags(LaunchTemplateInstanceMetadataTagsState::Enabled)
            .build();
        RequestLaunchTemplateData::builder()
            .image_id(&self.image)
            .instance_type(InstanceType::from(self.target.instance_type.as_str()))
            .iam_instance_profile(
                LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(&self.profile).build(),
            )
            .block_device_mappings(
                LaunchTemplateBlockDeviceMappingRequest::builder().device_name(&self.root_device).ebs(root).build(),
            )
            .network_interfaces(interface)
            .metadata_options(metadata)
            // An OS shutdown would only stop an on-demand worker, and its volume would go on costing.
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_instance_market_options((which == Which::Spot).then(|| self.market_options()))
            .user_data(&self.user_data)
            .set_tag_specifications(Some(self.tag_specifications(which)))
            .build()
    }

    /// The same as JSON in AWS's names, as `aws ec2 create-launch-template --launch-template-data` takes it.
    #[must_use]
    pub fn rendered(&self, which: Which, group: &str) -> Value {
        let tags: Vec<Value> = self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let mut ebs = json!({
            "VolumeType": self.volume.kind.as_str(),
            "VolumeSize": self.volume.size.0,
            "DeleteOnTermination": true,
        });
        for (name, value) in [("Iops", self.volume.iops), ("Throughput", self.volume.throughput)] {
            if let Some(value) = value {
                ebs[name] = json!(value);
            }
        }
        let mut data = json!({
            "ImageId": self.image,
            "InstanceType": self.target.instance_type,
            "IamInstanceProfile": {"Name": self.profile},
            "BlockDeviceMappings": [{"DeviceName": self.root_device, "Ebs": ebs}],
            "NetworkInterfaces": [{
                "DeviceIndex": 0,
                "SubnetId": self.target.subnet,
                "Groups": [group],
                "AssociatePublicIpAddress": true,
                "DeleteOnTermination": true,
            }],
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": HOP_LIMIT,
                "InstanceMetadataTags": "enabled",
            },
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": tagged(which)
                .iter()
                .map(|kind| json!({"ResourceType": kind.as_str(), "Tags": tags}))
                .collect::<Vec<_>>(),
            "UserData": self.user_data,
        });
        if which == Which::Spot {
            let mut options = json!({"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"});
            if let Some(price) = self.max_price {
                options["MaxPrice"] = json!(price);
            }
            data["InstanceMarketOptions"] = json!({"MarketType": "spot", "SpotOptions": options});
        }
        data
    }

    fn market_options(&self) -> LaunchTemplateInstanceMarketOptionsRequest {
        LaunchTemplateInstanceMarketOptionsRequest::builder()
            .market_type(MarketType::Spot)
            .spot_options(
                LaunchTemplateSpotMarketOptionsRequest::builder()
                    .spot_instance_type(SpotInstanceType::OneTime)
                    .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                    .set_max_price(self.max_price.map(|price| price.to_string()))
                    .build(),
            )
            .build()
    }

    fn tag_specifications(&self, which: Which) -> Vec<LaunchTemplateTagSpecificationRequest> {
        tagged(which)
            .iter()
            .map(|kind| {
                LaunchTemplateTagSpecificationRequest::builder()
                    .resource_type(kind.clone())
                    .set_tags(Some(ec2_tags(&self.tags)))
                    .build()
            })
            .collect()
    }
}

/// What a launch tags: everything that it makes.
#[must_use]
pub fn tagged(which: Which) -> Vec<ResourceType> {
    let mut kinds = vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
    if which == Which::Spot {
        kinds.push(ResourceType::SpotInstancesRequest);
    }
    kinds
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::spec::{Gib, VolumeKind};

    pub(crate) fn content() -> Content {
        Content {
            image: "ami-1".to_owned(),
            root_device: "/dev/sda1".to_owned(),
            volume: Volume { kind: VolumeKind::Gp3, size: Gib(75), iops: None, throughput: None },
            profile: "spotctl-w-us-east-1".to_owned(),
            user_data: "IyE=".to_owned(),
            max_price: None,
            tags: vec![("spotctl:stack".to_owned(), "w".to_owned())],
            target: Target { instance_type: "g4dn.xlarge".to_owned(), subnet: "subnet-1".to_owned() },
        }
    }

    #[test]
    fn the_fingerprint_moves_with_everything_but_type_and_subnet() {
        let before = content().fingerprint(Which::Spot);
        let mut moved = content();
        moved.target = Target { instance_type: "g5.xlarge".to_owned(), subnet: "subnet-2".to_owned() };
        assert_eq!(moved.fingerprint(Which::Spot), before);
        let others: [fn(&mut Content); 6] = [
            |c| c.image = "ami-2".to_owned(),
            |c| c.volume.size = Gib(80),
            |c| c.profile = "p".to_owned(),
            |c| c.user_data = String::new(),
            |c| c.max_price = Some(Usd::from_micros(1)),
            |c| c.tags.clear(),
        ];
        for change in others {
            let mut changed = content();
            change(&mut changed);
            assert_ne!(changed.fingerprint(Which::Spot), before, "{changed:?}");
        }
        assert_ne!(content().fingerprint(Which::AnyMarket), before);
    }

    #[test]
    fn only_the_spot_template_has_market_options_and_both_end_on_shutdown() {
        for which in [Which::Spot, Which::AnyMarket] {
            let request = content().request(which, "sg-1");
            assert_eq!(request.instance_market_options().is_some(), which == Which::Spot);
            assert_eq!(request.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Terminate));
            let metadata = request.metadata_options().unwrap();
            assert_eq!(metadata.http_tokens(), Some(&LaunchTemplateHttpTokensState::Required));
            assert_eq!(metadata.http_put_response_hop_limit(), Some(2));
            let interface = &request.network_interfaces()[0];
            assert_eq!(
                (interface.groups(), interface.associate_public_ip_address()),
                (&["sg-1".to_owned()][..], Some(true))
            );
        }
    }
}
