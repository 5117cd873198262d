//! The volumes of a launch: the image's root device and what the request says of it and beside it.

use super::super::state::VolumeData;
use crate::sandbox::call::AwsError;

/// What the image brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root<'a> {
    /// Such as `/dev/sda1`.
    pub device: &'a str,
    /// The snapshot behind it.
    pub snapshot: &'a str,
    /// The snapshot's size in GiB.
    pub size: i64,
}

/// The volumes that are made, each with everything said: size, type, IOPS, throughput.
///
/// # Errors
/// `InvalidBlockDeviceMapping`, `InvalidParameterCombination`, `InvalidParameterValue`, `MissingParameter`,
/// `InvalidParameterDependency`, `InvalidSnapshot.NotFound`.
pub(super) fn resolve(asked: &[VolumeData], root: Root<'_>) -> Result<Vec<VolumeData>, AwsError> {
    let mut volumes = vec![VolumeData { device: root.device.to_owned(), ..VolumeData::default() }];
    for volume in asked {
        if volumes.iter().skip(1).any(|other| other.device == volume.device) {
            return Err(mapping(format!("Device '{}' is used more than once", volume.device)));
        }
        if volume.device == root.device {
            volumes[0] = volume.clone();
        } else {
            volumes.push(volume.clone());
        }
    }
    for (index, volume) in volumes.iter_mut().enumerate() {
        complete(volume, (index == 0).then_some(root))?;
    }
    Ok(volumes)
}

fn complete(volume: &mut VolumeData, root: Option<Root<'_>>) -> Result<(), AwsError> {
    match (root, &volume.snapshot) {
        (Some(root), None) => volume.snapshot = Some(root.snapshot.to_owned()),
        (Some(root), Some(snapshot)) if snapshot != root.snapshot => {
            return Err(mapping("snapshotId cannot be modified on root device".to_owned()));
        }
        (None, Some(snapshot)) => {
            let message = format!("The snapshot '{snapshot}' does not exist.");
            return Err(AwsError::new("InvalidSnapshot.NotFound", message));
        }
        _ => {}
    }
    let size = match (volume.size, root) {
        (Some(size), Some(root)) if size < root.size => {
            return Err(mapping(format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                root.snapshot, root.size
            )));
        }
        (Some(size), _) => size,
        (None, Some(root)) => root.size,
        (None, None) => {
            return Err(AwsError::new("MissingParameter", "The request must contain the parameter size or snapshotId"));
        }
    };
    // An image's root device says gp3 these days, any other volume is gp2 unless it is said.
    let kind = volume.kind.clone().unwrap_or_else(|| if root.is_some() { "gp3" } else { "gp2" }.to_owned());
    check_size(&kind, size)?;
    volume.iops = iops(&kind, size, volume.iops)?;
    volume.throughput = throughput(&kind, volume.iops, volume.throughput)?;
    if volume.kms_key.is_some() && volume.encrypted != Some(true) {
        let message = "The parameter KmsKeyId requires the parameter Encrypted to be set to true.";
        return Err(AwsError::new("InvalidParameterDependency", message));
    }
    (volume.size, volume.kind) = (Some(size), Some(kind));
    volume.delete_on_termination.get_or_insert(true);
    volume.encrypted.get_or_insert(false);
    Ok(())
}

fn check_size(kind: &str, size: i64) -> Result<(), AwsError> {
    let range = match kind {
        "gp2" => 1..=16_384,
        "gp3" => 1..=65_536,
        "io1" => 4..=16_384,
        "io2" => 4..=65_536,
        "st1" | "sc1" => 125..=16_384,
        "standard" => 1..=1024,
        _ => {
            let message = format!("Value ({kind}) for parameter volumeType is invalid.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    };
    if range.contains(&size) {
        return Ok(());
    }
    let message = format!(
        "Volume size of {size}GiB is invalid for volume type {kind}: it must be between {} and {} GiB.",
        range.start(),
        range.end()
    );
    Err(AwsError::new("InvalidParameterValue", message))
}

fn iops(kind: &str, size: i64, asked: Option<i64>) -> Result<Option<i64>, AwsError> {
    let (range, ratio) = match (kind, asked) {
        ("gp3", None) => return Ok(Some(3000)),
        // Three IOPS a GiB, as gp2 has always had.
        ("gp2", None) => return Ok(Some((size * 3).clamp(100, 16_000))),
        ("io1" | "io2", None) => {
            let message = format!("The parameter iops must be specified for {kind} volumes.");
            return Err(AwsError::new("MissingParameter", message));
        }
        (_, None) => return Ok(None),
        ("gp3", Some(_)) => (3000..=80_000, 500),
        ("io1", Some(_)) => (100..=64_000, 50),
        ("io2", Some(_)) => (100..=256_000, 1000),
        (_, Some(_)) => {
            let message = format!("The parameter iops is not supported for {kind} volumes.");
            return Err(AwsError::new("InvalidParameterCombination", message));
        }
    };
    let asked = asked.unwrap_or_default();
    if !range.contains(&asked) {
        let (low, high) = (range.start(), range.end());
        let message =
            format!("Volume iops of {asked} is out of range for {kind}: it must be between {low} and {high}.");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    // The least that a gp3 has is no matter of its size.
    if asked > *range.start() && asked > size * ratio {
        let message = format!("Iops to volume size ratio of {asked}/{size} is too high; maximum is {ratio}");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(Some(asked))
}

fn throughput(kind: &str, iops: Option<i64>, asked: Option<i64>) -> Result<Option<i64>, AwsError> {
    let Some(asked) = asked else { return Ok((kind == "gp3").then_some(125)) };
    let refused = |message: String| Err(AwsError::new("InvalidParameterValue", message));
    if kind != "gp3" {
        let message = format!("The parameter throughput is not supported for {kind} volumes.");
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    if !(125..=2000).contains(&asked) {
        return refused(format!(
            "Throughput of {asked} is out of range for gp3: it must be between 125 and 2000 MiB/s."
        ));
    }
    // A quarter MiB a second for each of the IOPS.
    if asked * 4 > iops.unwrap_or(3000) {
        return refused(format!(
            "Throughput to iops ratio of {asked}/{} is too high; maximum is 0.25",
            iops.unwrap_or(3000)
        ));
    }
    Ok(Some(asked))
}

fn mapping(message: String) -> AwsError {
    AwsError::new("InvalidBlockDeviceMapping", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Root<'_> = Root { device: "/dev/sda1", snapshot: "snap-0", size: 75 };

    fn volume(size: Option<i64>, kind: &str, iops: Option<i64>, throughput: Option<i64>) -> VolumeData {
        let kind = (!kind.is_empty()).then(|| kind.to_owned());
        VolumeData { device: "/dev/sda1".to_owned(), size, kind, iops, throughput, ..VolumeData::default() }
    }

    #[test]
    fn a_volume_that_ebs_cannot_make_is_refused_with_its_code() {
        let cases = [
            (volume(Some(30), "gp3", None, None), "InvalidBlockDeviceMapping"),
            (volume(Some(75), "gp9", None, None), "InvalidParameterValue"),
            (volume(Some(100_000), "gp3", None, None), "InvalidParameterValue"),
            (volume(None, "gp2", Some(3000), None), "InvalidParameterCombination"),
            (volume(None, "io2", None, None), "MissingParameter"),
            (volume(None, "gp3", Some(2999), None), "InvalidParameterValue"),
            (volume(None, "gp3", Some(40_000), None), "InvalidParameterValue"),
            (volume(None, "gp3", None, Some(800)), "InvalidParameterValue"),
            (volume(None, "gp2", None, Some(125)), "InvalidParameterCombination"),
            (VolumeData { kms_key: Some("k".into()), ..volume(None, "", None, None) }, "InvalidParameterDependency"),
            (VolumeData { device: "/dev/sdb".into(), ..volume(None, "gp3", None, None) }, "MissingParameter"),
        ];
        for (asked, code) in cases {
            assert_eq!(resolve(std::slice::from_ref(&asked), ROOT).unwrap_err().code, code, "{asked:?}");
        }
        let smaller = resolve(&[volume(Some(30), "gp3", None, None)], ROOT).unwrap_err().message;
        assert_eq!(smaller, "Volume of size 30GB is smaller than snapshot 'snap-0', expect size >= 75GB");
    }

    #[test]
    fn what_is_not_said_is_completed_from_the_image() {
        let data = VolumeData { device: "/dev/sdb".into(), ..volume(Some(10), "", None, None) };
        let made = resolve(&[data, volume(None, "gp3", Some(6000), Some(500))], ROOT).unwrap();
        let told: Vec<_> = made
            .iter()
            .map(|v| (v.device.as_str(), v.size.unwrap(), v.kind.as_deref().unwrap(), v.iops, v.throughput))
            .collect();
        let expected = [("/dev/sda1", 75, "gp3", Some(6000), Some(500)), ("/dev/sdb", 10, "gp2", Some(100), None)];
        assert_eq!(told, expected);
    }
}
