//! The Price List API: on-demand prices of EC2, for every region, in three regions.
//!
//! **Every price here is made up**: those of Linux are [`prices::on_demand`]'s, the others follow from them. Odd in AWS: a
//! product is JSON inside a string; a type in a region is many products, told apart by their attributes (tenancy, operating
//! system, what is installed, and whether a capacity reservation holds or wastes it), so that who filters by the type alone
//! finds several prices. A region that has no endpoint has no such host; here such a call is refused as one whose signature
//! is for the wrong region.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::call::{AwsError, Call};
use super::ec2::catalog::{self, InstanceType};
use super::ec2::prices;
use super::wire::json;

/// The only regions that answer.
const ENDPOINTS: [&str; 3] = ["us-east-1", "eu-central-1", "ap-south-1"];
/// The only service the sandbox has prices for.
const SERVICE: &str = "AmazonEC2";
/// AWS's codes of an on-demand offer and of its price by the hour.
const OFFER: &str = "JRTCKXETXF";
const RATE: &str = "6YS6EN2CT7";
const FORMAT: &str = "aws_v1";
/// When the list was made, and its version by the same moment.
const PUBLISHED: (&str, &str) = ("2026-11-20T00:00:00Z", "20261120000000");

/// Region, its name in the list, and what usage types begin with there.
const LOCATIONS: [(&str, &str, &str); 17] = [
    ("ap-northeast-1", "Asia Pacific (Tokyo)", "APN1-"),
    ("ap-northeast-2", "Asia Pacific (Seoul)", "APN2-"),
    ("ap-northeast-3", "Asia Pacific (Osaka)", "APN3-"),
    ("ap-south-1", "Asia Pacific (Mumbai)", "APS3-"),
    ("ap-southeast-1", "Asia Pacific (Singapore)", "APS1-"),
    ("ap-southeast-2", "Asia Pacific (Sydney)", "APS2-"),
    ("ca-central-1", "Canada (Central)", "CAN1-"),
    ("eu-central-1", "EU (Frankfurt)", "EUC1-"),
    ("eu-north-1", "EU (Stockholm)", "EUN1-"),
    ("eu-west-1", "EU (Ireland)", "EU-"),
    ("eu-west-2", "EU (London)", "EUW2-"),
    ("eu-west-3", "EU (Paris)", "EUW3-"),
    ("sa-east-1", "South America (Sao Paulo)", "SAE1-"),
    ("us-east-1", "US East (N. Virginia)", ""),
    ("us-east-2", "US East (Ohio)", "USE2-"),
    ("us-west-1", "US West (N. California)", "USW1-"),
    ("us-west-2", "US West (Oregon)", "USW2-"),
];

/// How one may have an instance of a type.
#[derive(Debug)]
struct Variant {
    system: &'static str,
    tenancy: &'static str,
    installed: &'static str,
    capacity: &'static str,
    usage: &'static str,
    market: &'static str,
    /// Per cent of the price of Linux, shared and used.
    percent: u64,
}

/// The first is what an instance without a reservation costs; the others are those that a client takes for it by mistake.
/// What a reservation wastes costs as much as what is used, as in AWS; what it covers costs nothing more.
/// A Capacity Block is paid beforehand: its row says that an hour costs nothing.
const VARIANTS: [Variant; 7] = [
    Variant {
        system: "Linux",
        tenancy: "Shared",
        installed: "NA",
        capacity: "Used",
        usage: "BoxUsage",
        market: ON_DEMAND,
        percent: 100,
    },
    Variant {
        system: "Linux",
        tenancy: "Dedicated",
        installed: "NA",
        capacity: "Used",
        usage: "DedicatedUsage",
        market: ON_DEMAND,
        percent: 110,
    },
    Variant {
        system: "Windows",
        tenancy: "Shared",
        installed: "NA",
        capacity: "Used",
        usage: "BoxUsage",
        market: ON_DEMAND,
        percent: 150,
    },
    Variant {
        system: "Linux",
        tenancy: "Shared",
        installed: "SQL Std",
        capacity: "Used",
        usage: "BoxUsage",
        market: ON_DEMAND,
        percent: 220,
    },
    Variant {
        system: "Linux",
        tenancy: "Shared",
        installed: "NA",
        capacity: "UnusedCapacityReservation",
        usage: "UnusedBox",
        market: ON_DEMAND,
        percent: 100,
    },
    Variant {
        system: "Linux",
        tenancy: "Shared",
        installed: "NA",
        capacity: "AllocatedCapacityReservation",
        usage: "Reservation",
        market: ON_DEMAND,
        percent: 0,
    },
    Variant {
        system: "Linux",
        tenancy: "Shared",
        installed: "NA",
        capacity: "Used",
        usage: "BoxUsage",
        market: "CapacityBlock",
        percent: 0,
    },
];

const ON_DEMAND: &str = "OnDemand";

/// What a product is told by. Not every product has each.
const ATTRIBUTES: [&str; 18] = [
    "capacitystatus",
    "currentGeneration",
    "gpu",
    "instanceType",
    "licenseModel",
    "location",
    "locationType",
    "marketoption",
    "memory",
    "operatingSystem",
    "operation",
    "preInstalledSw",
    "regionCode",
    "servicecode",
    "storage",
    "tenancy",
    "usagetype",
    "vcpu",
];

/// Refuses a call to a region where the list has no endpoint.
///
/// # Errors
/// That the signature is for another region.
pub fn has_endpoint(region: &str) -> Result<(), AwsError> {
    if ENDPOINTS.contains(&region) {
        return Ok(());
    }
    let message = format!(
        "Credential should be scoped to a valid Region, not '{region}': the Price List API answers in {}",
        ENDPOINTS.join(", ")
    );
    Err(AwsError::new("InvalidSignatureException", message))
}

/// Answers one call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "GetProducts" => products(&json::input(body)?),
        "DescribeServices" => services(&json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ProductsInput {
    service_code: String,
    #[serde(default)]
    filters: Vec<Filter>,
    format_version: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ServicesInput {
    service_code: Option<String>,
    format_version: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    r#type: Kind,
    field: String,
    value: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    TermMatch,
    Equals,
    Contains,
    AnyOf,
    NoneOf,
}

impl Filter {
    fn check(&self) -> Result<(), AwsError> {
        if !ATTRIBUTES.contains(&self.field.as_str()) && !matches!(self.field.as_str(), "ServiceCode" | "productFamily")
        {
            return Err(invalid(format!("The field {} is not one of this sandbox's products", self.field)));
        }
        if !(1..=1024).contains(&self.value.len()) {
            return Err(invalid(format!("The value of the filter {} must have 1 to 1024 characters", self.field)));
        }
        Ok(())
    }

    fn accepts(&self, product: &Product) -> bool {
        let value = match self.field.as_str() {
            "ServiceCode" => Some(SERVICE.to_owned()),
            "productFamily" => Some(product.family().to_owned()),
            name => product.attribute(name),
        };
        let Some(value) = value else { return matches!(self.kind(), Kind::NoneOf) };
        let listed = || self.value.split(',').any(|one| one == value);
        match self.kind() {
            Kind::TermMatch | Kind::Equals => value == self.value,
            Kind::Contains => value.contains(&self.value),
            Kind::AnyOf => listed(),
            Kind::NoneOf => !listed(),
        }
    }

    fn kind(&self) -> Kind {
        self.r#type
    }
}

/// One row of the list. What it says is made when it is asked for: there are thousands, and most calls want a few.
#[derive(Debug, Clone, Copy)]
struct Product {
    place: &'static (&'static str, &'static str, &'static str),
    kind: &'static InstanceType,
    variant: &'static Variant,
}

/// Every product, by region, type and variant.
fn all() -> impl Iterator<Item = Product> {
    LOCATIONS.iter().flat_map(|place| {
        let sold = catalog::instance_types().iter().filter(move |kind| catalog::is_sold(place.0, &kind.name));
        sold.flat_map(move |kind| VARIANTS.iter().map(move |variant| Product { place, kind, variant }))
    })
}

impl Product {
    fn family(self) -> &'static str {
        if self.kind.hypervisor.is_none() { "Compute Instance (bare metal)" } else { "Compute Instance" }
    }

    fn name(self) -> String {
        let variant = self.variant;
        format!(
            "{} {} {} {} {} {} {}",
            self.place.0,
            self.kind.name,
            variant.system,
            variant.tenancy,
            variant.installed,
            variant.capacity,
            variant.market
        )
    }

    /// Sixteen capital letters and digits.
    fn sku(self) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKMNPQRSTUVWXYZ234567890";
        let digest = Sha256::digest(self.name());
        digest.iter().take(16).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
    }

    /// USD an hour, with ten decimals as in the list.
    fn usd(self) -> String {
        let linux = prices::on_demand(&self.kind.name, self.place.0);
        let micros = linux.parse::<crate::spec::Usd>().map_or(0, |usd| u64::try_from(usd.micros()).unwrap_or_default());
        format!("{}0000", prices::usd(micros * self.variant.percent / 100))
    }

    fn attribute(self, name: &str) -> Option<String> {
        let (kind, variant, (region, location, prefix)) = (self.kind, self.variant, *self.place);
        Some(match name {
            "capacitystatus" => variant.capacity.to_owned(),
            "currentGeneration" => if kind.current_generation { "Yes" } else { "No" }.to_owned(),
            // A fraction of one (g6f) has no whole number; AWS writes what it is.
            "gpu" => kind.gpu.as_ref().map(|gpu| gpu.count.to_string())?,
            "instanceType" => kind.name.clone(),
            "licenseModel" => "No License required".to_owned(),
            "location" => location.to_owned(),
            "locationType" => "AWS Region".to_owned(),
            "marketoption" => variant.market.to_owned(),
            "memory" => format!("{} GiB", gib(kind.memory_mib)),
            "operatingSystem" => variant.system.to_owned(),
            "operation" => match (variant.system, variant.installed) {
                ("Windows", _) => "RunInstances:0002",
                (_, "NA") => "RunInstances",
                _ => "RunInstances:0004",
            }
            .to_owned(),
            "preInstalledSw" => variant.installed.to_owned(),
            "regionCode" => region.to_owned(),
            "servicecode" => SERVICE.to_owned(),
            "storage" if kind.local_storage_gb > 0 => format!("{} GB NVMe SSD", kind.local_storage_gb),
            "storage" => "EBS only".to_owned(),
            "tenancy" => variant.tenancy.to_owned(),
            "usagetype" => format!("{prefix}{}:{}", variant.usage, kind.name),
            "vcpu" => kind.vcpus.to_string(),
            _ => return None,
        })
    }

    /// As the list has it: JSON in a string.
    fn document(self) -> String {
        let (sku, usd) = (self.sku(), self.usd());
        let attributes =
            ATTRIBUTES.into_iter().filter_map(|name| Some((name.to_owned(), self.attribute(name)?.into())));
        let attributes: Map<String, Value> = attributes.collect();
        let (offer, rate) = (format!("{sku}.{OFFER}"), format!("{sku}.{OFFER}.{RATE}"));
        let description =
            format!("${usd} per {} {} {} Instance Hour", self.variant.tenancy, self.variant.system, self.kind.name);
        let dimension = json!({
            "rateCode": rate,
            "unit": "Hrs",
            "beginRange": "0",
            "endRange": "Inf",
            "description": description,
            "appliesTo": [],
            "pricePerUnit": {"USD": usd},
        });
        let terms = json!({
            "sku": sku,
            "offerTermCode": OFFER,
            "effectiveDate": "2026-11-01T00:00:00Z",
            "priceDimensions": {rate.as_str(): dimension},
            "termAttributes": {},
        });
        let product = json!({"productFamily": self.family(), "attributes": attributes, "sku": sku});
        json!({
            "product": product,
            "serviceCode": SERVICE,
            "terms": {"OnDemand": {offer.as_str(): terms}},
            "version": PUBLISHED.1,
            "publicationDate": PUBLISHED.0,
        })
        .to_string()
    }
}

/// Without a fraction where there is none.
fn gib(mib: i64) -> String {
    if mib % 1024 == 0 { (mib / 1024).to_string() } else { format!("{}.{}", mib / 1024, mib % 1024 * 10 / 1024) }
}

fn products(input: &ProductsInput) -> Result<Value, AwsError> {
    service(&input.service_code)?;
    format_version(input.format_version.as_deref())?;
    let most = most(input.max_results)?;
    if input.filters.len() > 50 {
        return Err(invalid("There may be 50 filters".to_owned()));
    }
    input.filters.iter().try_for_each(Filter::check)?;
    let mut found: Vec<Product> =
        all().filter(|product| input.filters.iter().all(|filter| filter.accepts(product))).collect();
    if let Some(token) = &input.next_token {
        let last = json::named_by(token).unwrap_or_default();
        let at = found.iter().position(|product| product.name() == last).ok_or_else(no_token)?;
        found.drain(..=at);
    }
    let next = (found.len() > most).then(|| json::token(&found[most - 1].name()));
    found.truncate(most);
    let list: Vec<String> = found.into_iter().map(Product::document).collect();
    let mut answer = json!({"FormatVersion": FORMAT, "PriceList": list});
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn services(input: &ServicesInput) -> Result<Value, AwsError> {
    input.service_code.as_deref().map_or(Ok(()), service)?;
    format_version(input.format_version.as_deref())?;
    most(input.max_results)?;
    // There is one service, so no page but the first.
    if input.next_token.is_some() {
        return Err(no_token());
    }
    let mut names = vec!["productFamily"];
    names.extend(ATTRIBUTES);
    Ok(json!({"FormatVersion": FORMAT, "Services": [{"ServiceCode": SERVICE, "AttributeNames": names}]}))
}

fn service(code: &str) -> Result<(), AwsError> {
    if code == SERVICE {
        return Ok(());
    }
    Err(AwsError::new("NotFoundException", format!("The service {code} has no prices in this sandbox")))
}

fn format_version(version: Option<&str>) -> Result<(), AwsError> {
    match version {
        None | Some(FORMAT) => Ok(()),
        Some(other) => Err(invalid(format!("The format version {other} is not known"))),
    }
}

fn most(asked: Option<i64>) -> Result<usize, AwsError> {
    let most = usize::try_from(asked.unwrap_or(100)).ok().filter(|most| (1..=100).contains(most));
    most.ok_or_else(|| invalid("MaxResults must be 1 to 100".to_owned()))
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

fn no_token() -> AwsError {
    AwsError::new("InvalidNextTokenException", "The pagination token is invalid. Try again without a pagination token.")
}

#[cfg(test)]
mod tests;
