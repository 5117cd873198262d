//! What there is, what there should be, and what to do about it: the one plan that `plan` shows and `up` carries out.
//!
//! [`observe`] is one burst of reads, [`image`] the one read that depends on it, [`decide`] pure.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::cloud::{Caller, Cloud, poll};
use crate::decide::cost::{Disk, Ledger};
use crate::decide::names::{self, NONE, TAG_IDLE, TAG_LIFETIME};
use crate::decide::offers::on_demand::{self, ListPrices};
use crate::decide::offers::{InstanceType, Market, Ranking, Wish, none_left, rank};
use crate::decide::policy::{self, LaunchScope, Place};
use crate::decide::quota::{self, Holder, Standing};
use crate::decide::user_data::{self, Boot};
use crate::decide::workers::{Slot, Worker, slots_to_fill};
use crate::decide::{cost, references};
use crate::error::{Error, Result};
use crate::market::image::{self, Candidates, Image};
use crate::market::{self, Wanted, network, price_list, quotas};
use crate::resource::launch_template::{self, Both, Content, Pinned, Target, Which};
use crate::resource::parameters::{self, Leave};
use crate::resource::{Action, Change, Kind, launchers, role, security_group, tags, worker};
use crate::spec::{Ami, Architecture, Gib, Instance, Period, Spec, Types, Usd, Volume, WorkerName, Zone};

mod anywhere;

pub use anywhere::{Allowed, anywhere};

/// What the flags ask for beside the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// How many workers; 0: the foundation only.
    pub count: u32,
    /// `--type`.
    pub instance_type: Option<String>,
    /// `--zone`.
    pub zone: Option<Zone>,
    /// `--max-price`.
    pub max_price: Option<Usd>,
    /// `--on-demand-fallback`; the file's own goes beside it.
    pub on_demand: bool,
    /// `--ttl`; `Some(None)` is `none`.
    pub ttl: Option<Option<Period>>,
    /// `--idle`; `Some(None)` is `none`.
    pub idle: Option<Option<Period>>,
    /// `--adopt`.
    pub adopt: bool,
    /// `--prune`.
    pub prune: bool,
    /// `--upgrade-image`.
    pub upgrade_image: bool,
    /// `--retarget`.
    pub retarget: bool,
}

impl Wants {
    /// How parameters are treated that are not the stack's, or not in the `.env` any more.
    #[must_use]
    pub fn leave(&self) -> Leave {
        Leave { adopt: self.adopt, prune: self.prune }
    }
}

/// Everything that was read.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Where was read.
    pub region: String,
    /// Whose account it is.
    pub caller: Caller,
    /// VPC and subnets.
    pub place: network::Place,
    /// Types, offerings, prices.
    pub market: Market,
    /// Security groups of the name.
    pub groups: Vec<security_group::Observed>,
    /// Role and instance profile.
    pub role: role::Observed,
    /// Policies of launchers' roles.
    pub launchers: launchers::Observed,
    /// What stands under the path.
    pub parameters: parameters::Observed,
    /// Both launch templates.
    pub templates: Both,
    /// All workers.
    pub workers: Vec<Worker>,
    /// Their volumes.
    pub disks: BTreeMap<String, Vec<Disk>>,
    /// What types cost on demand, where that matters.
    pub list: ListPrices,
    /// How the account stands to the quotas that a launch can need; empty where none is wished for.
    pub quotas: Vec<Standing>,
    /// What the file's `ami` means now.
    pub candidates: Candidates,
}

impl Observed {
    /// What is known of prices, as they are now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let now = |(pool, price): (&(String, Zone), &Usd)| (pool.clone(), vec![(Timestamp::UNIX_EPOCH, *price)]);
        Ledger {
            region: self.region.clone(),
            spot: self.market.prices.iter().map(now).collect(),
            on_demand: self.list.prices.clone(),
            disks: self.disks.clone(),
            refused: None,
        }
    }
}

/// Reads everything at once.
///
/// # Errors
/// The first call that failed; a VPC, subnet or type that does not exist.
pub async fn observe(cloud: &Cloud, spec: &Spec, wants: &Wants) -> Result<Observed> {
    let wanted = Wanted { types: &spec.instance.types, also: wants.instance_type.as_deref() };
    // Boxed: the futures are large, and together they would swell every caller's.
    let (caller, place, market, groups, role, launchers, parameters, templates, workers, disks, candidates) = futures::try_join!(
        cloud.caller(),
        Box::pin(network::read(cloud, &spec.network)),
        Box::pin(market::read(cloud, wanted)),
        security_group::observe(cloud, &spec.name),
        Box::pin(role::observe(cloud, &spec.name)),
        launchers::observe(cloud, spec),
        Box::pin(parameters::observe(cloud, &spec.parameters.path, &spec.name)),
        Box::pin(launch_template::observe(cloud, &spec.name)),
        worker::observe(cloud, &spec.name),
        worker::disks_if_allowed(cloud, Some(&spec.name)).map(Ok),
        image::candidates(cloud, &spec.instance.ami),
    )?;
    let list = ListPrices::default();
    let region = cloud.region.clone();
    Ok(Observed {
        region,
        caller,
        place,
        market,
        groups,
        role,
        launchers,
        parameters,
        templates,
        workers,
        disks,
        list,
        quotas: Vec::new(),
        candidates,
    })
}

/// Reads again what a run has made or mended; all else is as `known`.
///
/// # Errors
/// The first call that failed.
pub async fn observe_foundation(cloud: &Cloud, spec: &Spec, known: &Observed) -> Result<Observed> {
    let (groups, role, launchers, parameters, templates) = futures::try_join!(
        security_group::observe(cloud, &spec.name),
        Box::pin(role::observe(cloud, &spec.name)),
        launchers::observe(cloud, spec),
        Box::pin(parameters::observe(cloud, &spec.parameters.path, &spec.name)),
        Box::pin(launch_template::observe(cloud, &spec.name)),
    )?;
    Ok(Observed { groups, role, launchers, parameters, templates, ..known.clone() })
}

/// Reads what types cost on demand, where something may be bought so or has been; what depends on the market alone, so that
/// it goes beside [`image`]. Nobody is kept from launching on Spot by a price list that may not be read.
pub async fn list_prices(cloud: &Cloud, spec: &Spec, observed: &Observed, wants: &Wants) -> ListPrices {
    let bought =
        observed.workers.iter().filter(|worker| worker.state.is_live() && worker.market == names::Market::OnDemand);
    let mut types: BTreeSet<String> = bought.map(|worker| worker.instance_type.clone()).collect();
    if falls_back(spec, wants) {
        types.extend(observed.market.types.iter().map(|found| found.name.clone()));
    }
    if types.is_empty() {
        return ListPrices::default();
    }
    let refused = match poll::courtesy(price_list::on_demand(cloud, &types)).await {
        Some(Ok(prices)) => return ListPrices { prices, refused: None },
        Some(Err(failure)) => failure.doing("reading the prices on demand").message,
        None => "the Price List API does not answer".to_owned(),
    };
    ListPrices { prices: BTreeMap::new(), refused: Some(refused) }
}

/// Looks how the account stands to the quotas that a launch can need, beside [`observe`]; [`count_quotas`] completes it.
/// Whatever cannot be read is not known and hinders nothing: AWS has the last word at the launch.
pub async fn look_at_quotas(cloud: &Cloud, spec: &Spec, wants: &Wants) -> Vec<Standing> {
    if wants.count == 0 {
        return Vec::new();
    }
    let possible = |market| quota::possible(&spec.instance.types, wants.instance_type.as_deref(), market);
    let mut codes = possible(names::Market::Spot);
    if falls_back(spec, wants) {
        codes.extend(possible(names::Market::OnDemand));
    }
    match poll::courtesy(quotas::look(cloud, &codes)).await {
        Some(Ok(standings)) => standings,
        Some(Err(error)) => {
            tracing::info!(%error, "the quotas are not known");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Fills in what the holders of the quotas count, beside [`image`]: the market tells most.
pub async fn count_quotas(cloud: &Cloud, market: &Market, mut standings: Vec<Standing>) -> Vec<Standing> {
    let known = market.types.iter().map(|known| (known.name.clone(), known.vcpus)).collect();
    if let Some(Err(error)) = poll::courtesy(quotas::count(cloud, &mut standings, &known)).await {
        tracing::info!(%error, "what is in use of the quotas is not known");
    }
    standings
}

/// The image that will be used, and the newer one that stands by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The one that a launch would use.
    pub image: Image,
    /// How the template remembers the file's `ami`.
    ami: String,
    /// Another image that the file's `ami` means by now.
    pub newer: Option<String>,
}

impl Chosen {
    #[cfg(test)]
    pub(crate) fn of(image: Image, newer: Option<String>) -> Self {
        Self { ami: image.id.clone(), image, newer }
    }
}

/// Whether a pinned image is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A launch that follows at once will hear it from AWS if the image has gone: what the template keeps of it will do.
    Kept,
    /// AWS is asked whether it is still there.
    Nothing,
}

/// What the choice of an image depends on.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Types that the file allows.
    pub types: &'a [InstanceType],
    /// What the file's `ami` means now.
    pub candidates: &'a Candidates,
    /// Where one may be pinned.
    pub template: Option<&'a launch_template::Observed>,
    /// Whether what it keeps of the image will do.
    pub trust: Trust,
}

/// Picks the image: the one pinned in the template unless the file's `ami` changed, it is gone, or an upgrade is asked.
///
/// # Errors
/// A call's failure; no such image.
pub async fn image(cloud: &Cloud, spec: &Spec, observed: &Observed, wants: &Wants, trust: Trust) -> Result<Chosen> {
    let launches = !slots_to_fill(&observed.workers, wants.count).is_empty();
    let sources = Sources {
        types: &observed.market.types,
        candidates: &observed.candidates,
        template: observed.templates.spot.as_ref(),
        trust: if launches { trust } else { Trust::Nothing },
    };
    image_of(cloud, spec, sources, wants.upgrade_image).await
}

/// The same for who has not read everything.
///
/// # Errors
/// As for [`image`].
pub async fn image_of(cloud: &Cloud, spec: &Spec, sources: Sources<'_>, upgrade: bool) -> Result<Chosen> {
    let ami = &spec.instance.ami;
    let architecture = architecture(&spec.instance, sources.types);
    let ami_text = match ami {
        Ami::DeepLearning(_) => format!("{}/{architecture}", image::text(ami)),
        _ => image::text(ami),
    };
    let current = sources.candidates.pick(architecture, ami)?;
    let template = sources.template.filter(|found| found.ami.as_deref() == Some(&ami_text));
    let pinned = template.and_then(|found| found.image.as_deref()).filter(|_| !upgrade);
    if let Some(pinned) = pinned {
        let kept = template.and_then(|found| found.kept_image.clone()).filter(|_| sources.trust == Trust::Kept);
        let image = if kept.is_some() { kept } else { image::describe(cloud, pinned).await? };
        if let Some(image) = image {
            let newer = (pinned != current).then(|| current.to_owned());
            fits(spec, &image)?;
            return Ok(Chosen { image, ami: ami_text, newer });
        }
    }
    match image::describe(cloud, current).await? {
        Some(image) => {
            fits(spec, &image)?;
            Ok(Chosen { image, ami: ami_text, newer: None })
        }
        None => Err(Error::usage(format!("`instance.ami`: no image `{current}` in {}", cloud.region))
            .hint("an image id belongs to one region; dlami-ubuntu-24.04 exists in each")),
    }
}

/// An image that is named and runs another architecture than the file asks for is a mistake that only AWS can tell.
fn fits(spec: &Spec, image: &Image) -> Result<()> {
    match spec.instance.arch.map(Architecture::as_str) {
        Some(wanted) if wanted != image.architecture => Err(Error::usage(format!(
            "`instance.arch` is {wanted}, and the image {} of `instance.ami` runs {}",
            image.id, image.architecture
        ))
        .hint(format!("name an image for {wanted}; a dlami-… one exists for each"))
        .hint("or remove `arch`: the image decides then")),
        _ => Ok(()),
    }
}

/// What image and types run on: what the file says; else what the first listed type runs; `x86_64` where types are open.
fn architecture<'a>(wanted: &Instance, known: &'a [InstanceType]) -> &'a str {
    const DEFAULT: &str = Architecture::X86.as_str();
    if let Some(wanted) = wanted.arch {
        return wanted.as_str();
    }
    let Types::Listed(names) = &wanted.types else { return DEFAULT };
    let first = names.first().and_then(|name| known.iter().find(|found| found.name == *name));
    first.map_or(DEFAULT, |found| {
        let runs = |name: &str| found.architectures.iter().any(|has| has == name);
        if runs(DEFAULT) { DEFAULT } else { found.architectures.first().map_or(DEFAULT, String::as_str) }
    })
}

/// What is to be done, and what will be tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One line a thing that is made, changed or found as it should be.
    pub changes: Vec<Change>,
    /// Where a launch would be tried, in order.
    pub ranking: Ranking,
    /// Workers to launch.
    pub slots: Vec<Slot>,
    /// What the user should know: a raised volume, a newer image, keys that vanished.
    pub notes: Vec<String>,
    /// Tags of a worker launched now.
    pub worker_tags: BTreeMap<String, String>,
    /// A cap that differs from the file's.
    pub max_price: Option<Usd>,
    /// The hard end of a worker launched now.
    pub lifetime: Option<Period>,
    /// The volume of a worker launched now.
    pub volume: Volume,
    pub(crate) group: security_group::Desired,
    pub(crate) role: role::Desired,
    pub(crate) launchers: launchers::Desired,
    pub(crate) parameters: (parameters::Desired, parameters::Diff),
    pub(crate) spot: launch_template::Desired,
    pub(crate) any_market: launch_template::Desired,
}

impl Plan {
    /// Whether the foundation differs from what the file says.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(Change::is_needed)
    }
}

/// Decides what to do. `env` is the `.env`, `None` where there is none.
///
/// # Errors
/// A contradiction between file, `.env` and account; nothing that could stand in the template.
pub fn decide(
    spec: &Spec,
    env: Option<&BTreeMap<String, SecretString>>,
    observed: &Observed,
    chosen: &Chosen,
    wants: &Wants,
    region: &str,
) -> Result<Plan> {
    let mut notes = Vec::new();
    let wished = parameters::desired(spec, env);
    let keys = parameters::keys(&wished, &observed.parameters);
    references::check(spec, &keys)?;
    references::check_environment(spec, &keys)?;
    references::check_registry(&keys)?;
    let plain = parameters::plain_values(&wished, &observed.parameters, &spec.parameters.plain);
    let named = BTreeSet::from(["AWS_REGION".to_owned()]);
    references::check_region(&parameters::plain_values(&wished, &observed.parameters, &named), region)?;
    let parameter_diff = parameters::diff(&wished, &observed.parameters, wants.leave())?;
    if !parameter_diff.vanished.is_empty() {
        let keys = parameter_diff.vanished.join(", ");
        notes.push(format!("not in the `.env` any more, kept: {keys}; to remove them: spotctl apply --prune"));
    }

    notes.extend(references::untagged(&spec.container.image, &plain));
    let place = Place { account: &observed.caller.account, region };
    let policy = policy::worker(spec, place, &plain).map_err(|error| Error::usage(error.to_string()))?;
    let wished_role = role::desired(spec, region, policy::trust(place), policy);
    let tagged = observed.templates.spot.as_ref().and_then(|found| found.launchers.as_deref());
    let may_launch = policy::launcher(spec, place, LaunchScope::default());
    let wished_launchers = launchers::desired(spec, region, may_launch, tagged);
    let launchers_tag = wished_launchers.tag()?;
    let wished_group = security_group::desired(spec, &observed.place.vpc);

    let slots = slots_to_fill(&observed.workers, wants.count);
    let (base, ranking) = rankings(spec, observed, chosen, wants, !slots.is_empty())?;
    let target = target(observed, &base, wants, region)?;
    let volume = raised(spec.instance.volume, chosen.image.minimum, region, &mut notes);
    let content = Content {
        image: chosen.image.id.clone(),
        root_device: chosen.image.root_device.clone(),
        volume,
        profile: names::role(&spec.name, region),
        user_data: encoded(&boot_script(spec, &observed.caller.account, region)?)?,
        max_price: spec.instance.max_price,
        tags: worker_tags(spec, spec.lifetime.max, spec.lifetime.idle).into_iter().collect(),
        target,
    };
    let own_tags = tags(&spec.tags, &spec.name);
    let pinned = Pinned {
        ami: &chosen.ami,
        image: &chosen.image,
        parameters: spec.parameters.path.as_str(),
        launchers: launchers_tag.as_deref(),
        tags: &own_tags,
        retarget: wants.retarget,
    };
    let spot = launch_template::desired(&spec.name, Which::Spot, &content, &pinned);
    let any_market = launch_template::desired(&spec.name, Which::AnyMarket, &content, &pinned);

    let group = security_group::diff(&wished_group, &observed.groups, wants.adopt)?;
    let kept =
        |change: &Change| matches!(change.action, Action::None | Action::Update).then(|| change.id.clone()).flatten();
    let group_id = kept(&group);
    let [role_change, profile_change] = role::diff(&wished_role, &observed.role, wants.adopt)?;
    let templates = &observed.templates;
    let mut changes = vec![group, role_change, profile_change];
    changes.extend(parameter_diff.changes.iter().cloned());
    changes.push(launch_template::diff(&spot, templates.spot.as_ref(), group_id.as_deref(), wants.adopt)?);
    changes.push(launch_template::diff(&any_market, templates.any_market.as_ref(), group_id.as_deref(), wants.adopt)?);
    changes.extend(launchers::diff(&wished_launchers, &observed.launchers));
    warn_about_inbound(&changes, &mut notes);

    if let Some(newer) = &chosen.newer {
        notes.push(format!(
            "a newer image is out, {newer}; {} stays pinned until: spotctl apply --upgrade-image",
            chosen.image.id
        ));
    }
    note_cheaper(&base, &content.target, &mut notes);
    let refused = observed.list.refused.as_ref().filter(|_| falls_back(spec, wants));
    notes.extend(refused.map(|why| format!("nothing is bought on demand, since the ceiling could not be kept: {why}")));
    let live = observed.workers.iter().filter(|worker| worker.state.is_live()).count();
    if wants.count > 0 && live > wants.count as usize {
        notes.push(format!(
            "{live} workers live, {} were asked for; `up` never ends one, `spotctl down` does",
            wants.count
        ));
    }
    let lifetime = wants.ttl.unwrap_or(spec.lifetime.max);
    Ok(Plan {
        changes,
        ranking,
        slots,
        notes,
        worker_tags: worker_tags(spec, lifetime, wants.idle.unwrap_or(spec.lifetime.idle)),
        max_price: wants.max_price.filter(|cap| Some(*cap) != spec.instance.max_price),
        lifetime,
        volume,
        group: wished_group,
        role: wished_role,
        launchers: wished_launchers,
        parameters: (wished, parameter_diff),
        spot,
        any_market,
    })
}

/// Whether something may be bought on demand.
fn falls_back(spec: &Spec, wants: &Wants) -> bool {
    wants.on_demand || spec.instance.on_demand_fallback
}

/// The ranking of the file alone, which the template's target is taken from, and the one with the flags.
fn rankings(
    spec: &Spec,
    observed: &Observed,
    chosen: &Chosen,
    wants: &Wants,
    launches: bool,
) -> Result<(Ranking, Ranking)> {
    let file = Wish::of(&spec.instance, &chosen.image.architecture);
    let only = wants.instance_type.as_ref().map(|name| Types::Listed(vec![name.clone()]));
    let mut flags = Wish { max_price: wants.max_price.or(file.max_price), zone: wants.zone.as_ref(), ..file.clone() };
    // A flag goes before the file: whoever names a type wants that one.
    if let Some(only) = &only {
        flags = Wish { types: only, vcpus: None, memory: None, exclude: &[], ..flags };
    }
    let now = in_use(&observed.quotas, &spec.name, &observed.workers);
    // The template outlives what uses the quota now, and a run that launches nothing needs none of it.
    let unused = |standing: &Standing| Standing { holders: Some(Vec::new()), ..standing.clone() };
    let limits: Vec<Standing> = now.iter().map(unused).collect();
    let (market, subnets) = (&observed.market, &observed.place.subnets);
    let quotas = if launches { &now } else { &limits };
    let base = rank(&file, market, subnets, &limits)?;
    // What Service Quotas and EC2 say may be late. Where something dearer stands behind it, AWS itself is asked.
    let on_spot: &[Standing] = if falls_back(spec, wants) { &[] } else { quotas };
    let mut ranking = rank(&flags, market, subnets, on_spot)?;
    ranking.quotas.clone_from(quotas);
    ranking.count = wants.count;
    if falls_back(spec, wants) {
        // After every Spot offer: on demand is what is left when Spot delivers nothing.
        let listed = on_demand::offers(&flags, market, (subnets, quotas), &observed.list)?;
        ranking.offers.extend(listed.offers);
        ranking.rejected.extend(listed.rejected);
    }
    Ok((base, ranking))
}

/// The quotas with those holders of this stack only that this run knows of. Another run may be launching the very worker
/// that this one is about to ask for: the same token then answers with the same instance, which needs no more room.
fn in_use(quotas: &[Standing], stack: &WorkerName, workers: &[Worker]) -> Vec<Standing> {
    let is_known = |id: &str| workers.iter().any(|worker| worker.id == id && worker.state.is_live());
    let counts = |holder: &Holder| holder.stack.as_deref() != Some(stack.as_str()) || is_known(&holder.id);
    let mut quotas = quotas.to_vec();
    for holders in quotas.iter_mut().filter_map(|standing| standing.holders.as_mut()) {
        holders.retain(counts);
    }
    quotas
}

/// What a launch by the template's name alone gives: what it gave, as long as the file allows it; else the cheapest
/// offer; else, when all are above the cap, the cheapest of those, since AWS enforces the cap in the template.
fn target(observed: &Observed, base: &Ranking, wants: &Wants, region: &str) -> Result<Target> {
    let zone_of =
        |subnet: &str| observed.place.subnets.iter().find(|known| known.id == subnet).map(|known| &known.zone);
    let is_candidate = |name: &str, zone: &Zone| {
        base.offers.iter().any(|offer| offer.instance_type == name && offer.zone == *zone)
            || (base.rejected.iter().any(|r| r.instance_type == name && r.zone.as_ref() == Some(zone))
                && observed.market.offered.contains(&(name.to_owned(), zone.clone())))
    };
    let allowed =
        |target: &&Target| zone_of(&target.subnet).is_some_and(|zone| is_candidate(&target.instance_type, zone));
    let current = observed.templates.spot.as_ref().and_then(|found| found.target.as_ref()).filter(allowed);
    if let Some(current) = current.filter(|_| !wants.retarget) {
        return Ok(current.clone());
    }
    if let Some(offer) = base.offers.first() {
        return Ok(Target { instance_type: offer.instance_type.clone(), subnet: offer.subnet.clone() });
    }
    let dear = base.rejected.iter().find_map(|rejection| {
        let zone = rejection.zone.as_ref().filter(|_| rejection.price.is_some())?;
        let subnet = observed.place.subnets.iter().find(|known| known.zone == *zone)?;
        Some(Target { instance_type: rejection.instance_type.clone(), subnet: subnet.id.clone() })
    });
    dear.or_else(|| current.cloned()).ok_or_else(|| none_left(base, region))
}

/// The volume, raised to the image's minimum, which is said with its price.
fn raised(wished: Volume, minimum: Gib, region: &str, notes: &mut Vec<String>) -> Volume {
    if wished.size >= minimum {
        return wished;
    }
    let cost = cost::volume_month(wished.kind, minimum, region);
    notes.push(format!("the volume is {minimum} instead of {}: the image needs it; {cost}", wished.size));
    Volume { size: minimum, ..wished }
}

/// The boot script as it would run.
///
/// # Errors
/// A secret that it would show.
pub fn boot_script(spec: &Spec, account: &str, region: &str) -> Result<String> {
    let boot = Boot {
        name: &spec.name,
        region,
        account,
        path: &spec.parameters.path,
        plain: &spec.parameters.plain,
        container: &spec.container,
        queues: &spec.access.queues,
        lifetime: &spec.lifetime,
    };
    user_data::render(&boot).map_err(|error| Error::usage(error.to_string()))
}

fn encoded(script: &str) -> Result<String> {
    Ok(user_data::encode(script).map_err(|error| Error::usage(error.to_string()))?.base64)
}

/// Tags of a worker: the user's, the stack's, and its limits, which the box reads from them.
pub(crate) fn worker_tags(spec: &Spec, lifetime: Option<Period>, idle: Option<Period>) -> BTreeMap<String, String> {
    let text = |period: Option<Period>| period.map_or_else(|| NONE.to_owned(), |period| period.to_string());
    let mut all: BTreeMap<String, String> = tags(&spec.tags, &spec.name).into_iter().collect();
    all.insert(TAG_LIFETIME.to_owned(), text(lifetime));
    all.insert(TAG_IDLE.to_owned(), text(idle));
    all
}

fn warn_about_inbound(changes: &[Change], notes: &mut Vec<String>) {
    let opened = changes.iter().find(|change| {
        change.kind == Kind::SecurityGroup && change.reason.contains("inbound rule ") && change.action == Action::Update
    });
    if let Some(change) = opened {
        notes.push(format!("somebody opened the security group `{}`: {}", change.name, change.reason));
    }
}

fn note_cheaper(base: &Ranking, target: &Target, notes: &mut Vec<String>) {
    let price_of = |name: &str, subnet: &str| {
        base.offers.iter().find(|offer| offer.instance_type == name && offer.subnet == subnet).and_then(|o| o.price)
    };
    let Some(cheapest) = base.offers.first() else { return };
    let now = price_of(&target.instance_type, &target.subnet);
    if let (Some(price), Some(now)) = (cheapest.price, now)
        && price < now
    {
        notes.push(format!(
            "the launch template stays at {} for {now} USD an hour; {} in {} is at {price}: spotctl apply --retarget",
            target.instance_type, cheapest.instance_type, cheapest.zone
        ));
    }
}

/// Whether EC2 may not know yet what a launch refers to.
#[must_use]
pub fn is_fresh(plan: &Plan, observed: &Observed, now: Timestamp) -> bool {
    plan.has_changes() || role::is_fresh(&plan.role, &observed.role, now)
}
