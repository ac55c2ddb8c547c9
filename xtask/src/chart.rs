//! The Helm chart's checks: lint, the committed renderings, strict validation, and settings that must be refused.
//!
//! None of them needs a cluster or the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::r#gen::Mode;
use crate::setup::Tools;
use crate::workspace::Workspace;
use crate::{demo, process};

const CHART: &str = "deploy/k8s/hygeia";
const RENDERED: &str = "deploy/k8s/rendered";
/// The oldest Kubernetes that the chart says it supports.
const KUBERNETES: &str = "1.33";

/// Variables that the program reads without a flag, so that no help lists them.
const UNLISTED: [&str; 1] = ["HYGEIA_LOG"];

/// The ways of installing that are rendered and committed: a name, and the values that make it.
const PROFILES: [(&str, Option<&str>); 3] = [
    ("default", None),
    ("hospital", Some("deploy/k8s/profiles/hospital.yaml")),
    ("compute-gpu", Some("deploy/k8s/profiles/compute-gpu.yaml")),
];

/// A way of installing that is rendered for the checks alone: most of it is a copy of `deploy/k8s/monitoring`.
const MONITORING: &str = "deploy/k8s/profiles/monitoring.yaml";
/// Kinds of the Prometheus operator, which Kubernetes' own schemas do not know.
const OPERATOR_API: &str = "monitoring.coreos.com/v1";
const OPERATOR_KINDS: [&str; 2] = ["PodMonitor", "PrometheusRule"];
/// What the chart needs a copy of, because helm reads nothing outside it.
const COPIED: [&str; 2] = ["rules.yaml", "dashboard.json"];
/// Where the originals lie.
const MONITORING_FILES: &str = "deploy/k8s/monitoring";

/// Settings that the chart must refuse, each with a word of the reason that helm must give.
const REFUSED: [(&str, &str); 11] = [
    ("image.repository=", "repository"),
    ("image.tag=latest", "tag"),
    ("roles.steward.replicas=2", "replicas"),
    ("roles.prover.gpu.count=-1", "count"),
    ("roles.nurse.enabled=true", "nurse"),
    ("nats.url=http://broker:4222", "url"),
    ("chain.url=https://name:word@chain:8545", "url"),
    ("roles.oracle.signerSecret=", "signerSecret"),
    ("telemetry.traceSample=2", "traceSample"),
    ("telemetry.otlp=http://name:word@collector:4318", "otlp"),
    ("monitoring.interval=never", "interval"),
];

/// Lints every profile, checks the renderings against Kubernetes' own schemas, and tries the refused settings.
pub fn check(workspace: &Workspace, tools: &Tools) -> Result<()> {
    for (name, values) in PROFILES {
        process::run(helm(workspace, tools, "lint", values).arg("--strict"))?;
        validate(workspace, tools, &rendered(workspace, name))?;
    }
    check_monitoring(workspace, tools)?;
    REFUSED.iter().try_for_each(|(setting, reason)| refuse(workspace, tools, setting, reason))
}

/// The monitoring is off by default; switched on it must bring every rule, find the pods, and bring the dashboard.
fn check_monitoring(workspace: &Workspace, tools: &Tools) -> Result<()> {
    process::run(helm(workspace, tools, "lint", Some(MONITORING)).arg("--strict"))?;
    let manifests = render_monitoring(workspace, tools)?;
    validate(workspace, tools, &manifests)?;
    let objects = objects(tools, &manifests)?;
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).with_context(|| format!("no {kind}"));
    let original = self::objects(tools, &workspace.path(MONITORING_FILES).join("rules.yaml"))?;
    if original.first().context("there are no rules")?["groups"] != of("PrometheusRule")?["spec"]["groups"] {
        bail!("the chart's alert rules are not those of {MONITORING_FILES}");
    }
    let (selected, pods) = (&of("PodMonitor")?["spec"]["selector"]["matchLabels"], of("Deployment")?);
    let labels = &pods["spec"]["template"]["metadata"]["labels"];
    let wanted = selected.as_object().context("the PodMonitor selects nothing")?;
    if wanted.is_empty() || wanted.iter().any(|(label, value)| labels[label] != *value) {
        bail!("the PodMonitor does not select the pods of the roles");
    }
    let dashboard = fs::read_to_string(workspace.path(MONITORING_FILES).join("dashboard.json"))?;
    let shown = objects.iter().find_map(|object| object["data"]["hygeia.json"].as_str()).context("no dashboard")?;
    if serde_json::from_str::<Value>(shown)? != serde_json::from_str::<Value>(&dashboard)? {
        bail!("the chart's dashboard is not that of {MONITORING_FILES}");
    }
    let default = self::objects(tools, &rendered(workspace, "default"))?;
    if default.iter().any(|object| object["apiVersion"] == OPERATOR_API) {
        bail!("without `monitoring.enabled` the chart must not need the Prometheus operator");
    }
    Ok(())
}

/// The manifests with monitoring, in a file for the checks alone.
fn render_monitoring(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let folder = tools.root().join("helm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join("monitoring.yaml");
    let manifests = process::capture(&mut template(workspace, tools, Some(MONITORING)))?;
    fs::write(&file, manifests).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// Writes or compares what the program says of its telemetry, and the chart's copies of the rules and the dashboard.
pub fn settle_monitoring(workspace: &Workspace, mode: Mode) -> Result<()> {
    let hygeia = demo::build_hygeia(workspace)?;
    let monitoring = workspace.path(MONITORING_FILES);
    for (file, arguments) in [("metrics.md", &["telemetry"][..]), ("metrics.json", &["telemetry", "--json"])] {
        let schema = process::capture(Command::new(&hygeia).args(arguments))?;
        mode.settle(&monitoring.join(file), schema.as_bytes())?;
    }
    for file in COPIED {
        let original = fs::read(monitoring.join(file)).with_context(|| format!("read {file}"))?;
        mode.settle(&workspace.path(CHART).join("files").join(file), &original)?;
    }
    Ok(())
}

/// Every flag and variable that the chart gives a role must be one that the role's own help lists.
pub fn fits_binary(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let hygeia = demo::build_hygeia(workspace)?;
    let monitoring = objects(tools, &render_monitoring(workspace, tools)?)?;
    let default = objects(tools, &rendered(workspace, "default"))?;
    for object in default.iter().chain(&monitoring).filter(|object| object["kind"] == "Deployment") {
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<_> = texts(&container["args"], |arg| arg.as_str()).collect();
        let (role, flags) = args.split_first().context("a container has no arguments")?;
        let help = process::capture(Command::new(&hygeia).args([role, "--help"]))?;
        let flags = flags.iter().map(|flag| flag.split('=').next().unwrap_or(flag).to_owned());
        let variables = texts(&container["env"], |variable| variable["name"].as_str())
            .filter(|name| name.starts_with("HYGEIA_") && !UNLISTED.contains(name))
            .map(|name| format!("[env: {name}="));
        if let Some(unknown) = flags.chain(variables).find(|word| !help.contains(word.as_str())) {
            bail!("the chart gives {role} `{unknown}`, which `hygeia {role} --help` does not list");
        }
    }
    Ok(())
}

/// Writes or compares the renderings.
pub fn settle(workspace: &Workspace, tools: &Tools, mode: Mode) -> Result<()> {
    for (name, values) in PROFILES {
        let manifests = process::capture(&mut template(workspace, tools, values))?;
        mode.settle(&rendered(workspace, name), manifests.as_bytes())?;
    }
    stray(workspace).map_or(Ok(()), |file| bail!("{} is rendered from no profile: remove it", file.display()))
}

/// The validator only warns about a kind it has no schema for; here that is a failure too.
fn validate(workspace: &Workspace, tools: &Tools, manifests: &Path) -> Result<()> {
    let mut python = tools.python();
    python.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", KUBERNETES]).arg(manifests);
    let said = process::capture(python.current_dir(workspace.root()))?;
    if said.trim().is_empty() || !said.lines().all(|line| line.starts_with("INFO") || is_of_operator(line)) {
        bail!("{} does not validate:\n{said}", manifests.display());
    }
    eprintln!("{} validates as Kubernetes {KUBERNETES}: {} objects", manifests.display(), said.lines().count());
    Ok(())
}

/// Whether a warning is of a kind that only the operator's own schemas know.
fn is_of_operator(line: &str) -> bool {
    let kind = line.split("Couldn't find schema for kind ").nth(1).unwrap_or_default();
    OPERATOR_KINDS.iter().any(|known| kind.starts_with(&format!("{known} with api version {OPERATOR_API} ")))
}

/// The objects of a manifest file. YAML is read by the environment that validates it.
fn objects(tools: &Tools, manifests: &Path) -> Result<Vec<Value>> {
    let read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let json = process::capture(tools.python().args(["-c", read]).arg(manifests))?;
    serde_json::from_str(&json).with_context(|| format!("read {}", manifests.display()))
}

fn texts<'a>(list: &'a Value, text: fn(&'a Value) -> Option<&'a str>) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(text)
}

fn refuse(workspace: &Workspace, tools: &Tools, setting: &str, reason: &str) -> Result<()> {
    let output = process::output(template(workspace, tools, None).args(["--set", setting]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        bail!("the chart renders with {setting}, which it must refuse");
    }
    if !said.contains(reason) {
        bail!("the chart refuses {setting} without naming `{reason}`:\n{said}");
    }
    eprintln!("refused as it should be: {setting}");
    Ok(())
}

fn template(workspace: &Workspace, tools: &Tools, values: Option<&str>) -> Command {
    let mut command = helm(workspace, tools, "template", values);
    command.args(["--namespace", "hygeia", "--kube-version", KUBERNETES]);
    command
}

/// `helm VERB` on the chart, away from the user's own helm settings and clusters.
fn helm(workspace: &Workspace, tools: &Tools, verb: &str, values: Option<&str>) -> Command {
    let own = tools.root().join("helm");
    let mut command = tools.command("helm");
    command.arg(verb);
    if verb == "template" {
        command.arg("hygeia");
    }
    command.arg(CHART).current_dir(workspace.root());
    if let Some(values) = values {
        command.args(["--values", values]);
    }
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &own);
    }
    command.env("KUBECONFIG", "/dev/null");
    command
}

fn rendered(workspace: &Workspace, profile: &str) -> PathBuf {
    workspace.path(RENDERED).join(format!("{profile}.yaml"))
}

/// A committed rendering whose profile is gone.
fn stray(workspace: &Workspace) -> Option<PathBuf> {
    let known: Vec<_> = PROFILES.iter().map(|(name, _)| rendered(workspace, name)).collect();
    let entries = fs::read_dir(workspace.path(RENDERED)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).find(|path| !known.contains(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_kinds_may_be_without_a_schema() {
        let warning =
            |kind: &str| format!("WARN x.yaml Couldn't find schema for kind {kind} for kubernetes version 1.33");
        assert!(is_of_operator(&warning("PodMonitor with api version monitoring.coreos.com/v1")));
        for other in ["PodMonitor with api version v1", "Deployments with api version apps/v1", "PodMonitors with api"]
        {
            assert!(!is_of_operator(&warning(other)), "{other}");
        }
        assert!(!is_of_operator("ERROR x.yaml is not valid"));
    }
}
