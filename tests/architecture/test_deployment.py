"""What deploys the service is valid, says what the specification says, and knows each process and setting."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from sav.cli import migrate
from sav.launch.startup import DATABASE_WAIT_SECONDS
from sav.settings import InvalidSettings, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
BASE = ROOT / "k8s" / "base"
OVERLAYS = sorted((ROOT / "k8s" / "overlays").iterdir())
PRODUCTION = ROOT / "k8s" / "overlays" / "production"
BACK_UP = ROOT / "k8s" / "back-up"
KUBERNETES = "1.30"
# Long-running; `sav migrate` runs to its end.
PROCESSES = {"http", "worker", "scheduler"}


def manifests(directory: Path = BASE) -> Iterator[dict[str, Any]]:
    for file in kustomization(directory)["resources"]:
        if not (directory / file).is_dir():
            yield from yaml.safe_load_all((directory / file).read_text())


def kustomization(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((directory / "kustomization.yaml").read_text())
    return content


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in manifests() if found["kind"] == kind}


def pod_specs() -> dict[str, dict[str, Any]]:
    """The specification of the pods that run each command."""
    workloads = [*of_kind("Deployment").values(), *of_kind("Job").values()]
    specs = [workload["spec"]["template"]["spec"] for workload in workloads]
    return {spec["containers"][0]["args"][0]: spec for spec in specs}


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return content


def own_services() -> dict[str, dict[str, Any]]:
    """The services of our own image, by the command that they run."""
    ours = [service for service in compose()["services"].values() if "build" in service]
    return {service["command"][0]: service for service in ours}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


class TestProcesses:
    def test_the_procfile_compose_and_kubernetes_run_the_same_processes(self) -> None:
        lines = (ROOT / "Procfile").read_text().splitlines()
        assert {line.partition(": ")[2] for line in lines} == {f"sav {process}" for process in PROCESSES}
        assert set(own_services()) == PROCESSES | {"migrate"}
        assert set(pod_specs()) == PROCESSES | {"migrate"}

    def test_a_supervisor_waits_longer_than_any_process_takes_to_end(self) -> None:
        for service in own_services().values():
            assert service["stop_grace_period"] == "40s"
        for spec in pod_specs().values():
            assert spec["terminationGracePeriodSeconds"] == 40


class TestSettings:
    def test_every_variable_is_a_setting(self) -> None:
        names = set(compose()["x-sav"]["environment"])
        names |= {
            name
            for kind in ("ConfigMap", "Secret")
            for found in of_kind(kind).values()
            for name in data(found)
        }
        names |= {
            variable["name"]
            for spec in pod_specs().values()
            for variable in spec["containers"][0].get("env", ())
        }
        for overlay in OVERLAYS:
            for generated in kustomization(overlay).get("configMapGenerator", ()):
                names |= {literal.partition("=")[0] for literal in generated["literals"]}
        assert len(names) > 15
        assert names - set(Settings.model_fields) == set()

    def test_what_is_secret_is_in_the_secret_alone(self) -> None:
        (secrets,) = of_kind("Secret").values()
        (settings,) = of_kind("ConfigMap").values()
        assert {name for name in data(settings) if "PASSWORD" in name or "SECRET" in name} == set()
        assert {"DB_PASSWORD", "RABBITMQ_PASSWORD", "MINIO_SECRET_KEY"} <= set(data(secrets))
        for overlay in OVERLAYS:
            assert "secretGenerator" not in kustomization(overlay)

    def test_whoever_copies_the_production_overlay_is_asked_for_what_an_ingress_needs(self) -> None:
        (generated,) = kustomization(PRODUCTION)["configMapGenerator"]
        named = {literal.partition("=")[0] for literal in generated["literals"]}
        assert {
            "SAV_PUBLIC_URL",
            "MINIO_PUBLIC_ENDPOINT",
            "SAV_TRUSTED_PROXIES",
            "SMTP_HOST",
            "MAIL_FROM",
        } <= named

    def test_the_settings_of_the_production_overlay_are_accepted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (settings,) = of_kind("ConfigMap").values()
        (generated,) = kustomization(PRODUCTION)["configMapGenerator"]
        literals = dict(literal.split("=", 1) for literal in generated["literals"])
        for name, value in {**data(settings), **literals}.items():
            monkeypatch.setenv(name, value)
        for name in ("DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD"):
            monkeypatch.setenv(name, "a secret of our own")
        assert load_settings().SAV_TRUSTED_PROXIES

    def test_kubernetes_settings_are_accepted_once_the_secrets_are_real(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for kind in ("ConfigMap", "Secret"):
            for found in of_kind(kind).values():
                for name, value in data(found).items():
                    monkeypatch.setenv(name, value)
        with pytest.raises(InvalidSettings) as refused:
            load_settings()
        placeholders = [problem.partition(":")[0] for problem in refused.value.problems]
        assert placeholders == ["DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD"]
        for name in placeholders:
            monkeypatch.setenv(name, "a secret of our own")
        assert load_settings().APP_PORT == 8000


def data(manifest: dict[str, Any]) -> dict[str, str]:
    content: dict[str, str] = manifest.get("data") or manifest["stringData"]
    return content


class TestCompose:
    def test_it_is_valid(self) -> None:
        answer = run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
        assert answer.returncode == 0, answer.stdout

    def test_it_is_what_the_specification_asks_for(self) -> None:
        services = compose()["services"]
        assert own_services()["http"]["ports"] == ["8007:8000"]
        assert services["sav-mysql"]["image"] == "mysql:8.0"
        assert services["sav-mysql"]["ports"] == ["127.0.0.1:3314:3306"]
        assert all(service["networks"] == ["e-commerce-network"] for service in services.values())
        assert compose()["networks"]["e-commerce-network"]["name"] == "e-commerce-network"

    def test_the_guide_has_its_example_secrets_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The image says production, and this file says otherwise unless the guide's variable is set."""
        variables = compose()["x-sav"]["environment"]
        assert variables["APP_ENV"] == "${APP_ENV:-local}"
        page = (ROOT / "docs" / "operations.md").read_text()
        guide = page.partition("**One machine, with Docker Compose.**")[2].partition("```")[0]
        assert "`APP_ENV=production`" in guide
        monkeypatch.setenv("APP_ENV", "production")
        with pytest.raises(InvalidSettings) as refused:
            load_settings()
        named = {problem.partition(":")[0] for problem in refused.value.problems}
        assert {"DB_PASSWORD", "MINIO_SECRET_KEY", "RABBITMQ_PASSWORD"} <= named

    def test_nothing_starts_before_what_it_needs(self) -> None:
        services = compose()["services"]
        for process in PROCESSES:
            needed = own_services()[process]["depends_on"]
            assert set(needed) == {"sav-migrate", "sav-mysql", "rabbitmq", "minio", "minio-bucket"}
            for name, need in needed.items():
                runs_to_its_end = services[name]["restart"] == "on-failure"
                wanted = "service_completed_successfully" if runs_to_its_end else "service_healthy"
                assert need["condition"] == wanted
                assert runs_to_its_end or "test" in services[name]["healthcheck"]

    def test_images_are_pinned(self) -> None:
        for name, service in compose()["services"].items():
            tag = service["image"].rpartition(":")[2]
            assert tag not in ("", "latest"), name


class TestKubernetes:
    @pytest.mark.parametrize("directory", [BASE, BACK_UP, *OVERLAYS], ids=lambda path: path.name)
    def test_every_manifest_is_valid(self, directory: Path) -> None:
        for manifest in manifests(directory):
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)

    def test_every_file_is_used(self) -> None:
        for directory in (BASE, BACK_UP, *OVERLAYS):
            resources = kustomization(directory)["resources"]
            assert all((directory / resource).exists() for resource in resources)
            files = {file.name for file in directory.iterdir()} - {"kustomization.yaml"}
            assert files <= set(resources)

    def test_the_copy_of_the_files_runs_as_the_pods_do(self) -> None:
        claim, job = manifests(BACK_UP)
        spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["args"] == ["copy-files", "out", "/back-up/files"]
        assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        worker = pod_specs()["worker"]
        for key in ("securityContext", "serviceAccountName", "automountServiceAccountToken"):
            assert spec[key] == worker[key]
        for key in ("image", "envFrom", "resources", "securityContext"):
            assert container[key] == worker["containers"][0][key]

    def test_overlays_change_what_is_there(self) -> None:
        kinds = {manifest["kind"] for manifest in manifests()}
        for overlay in OVERLAYS:
            changed = kustomization(overlay)
            assert {image["name"] for image in changed["images"]} == {"sav-service"}
            assert {generated["name"] for generated in changed["configMapGenerator"]} <= set(
                of_kind("ConfigMap")
            )
            for patch in changed["patches"]:
                body = yaml.safe_load(patch["patch"])
                assert (patch.get("target") or body)["kind"] in kinds
                if isinstance(body, dict):
                    assert body["metadata"]["name"] in of_kind(body["kind"])

    def test_resources_and_replicas(self) -> None:
        for spec in pod_specs().values():
            assert spec["containers"][0]["resources"] == {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"cpu": "300m", "memory": "512Mi"},
            }
        assert of_kind("Deployment")["sav-service"]["spec"]["replicas"] == 2

    def test_probes(self) -> None:
        web = pod_specs()["http"]["containers"][0]
        assert web["livenessProbe"]["httpGet"]["path"] == "/health"
        assert web["livenessProbe"]["periodSeconds"] == 10
        assert web["readinessProbe"]["httpGet"]["path"] == "/ready"
        startup = web["startupProbe"]
        assert startup["httpGet"]["path"] == "/health"
        assert startup["periodSeconds"] * startup["failureThreshold"] == 30

    def test_workers_and_schedulers_are_asked_on_the_port_that_they_open(self) -> None:
        for process in ("worker", "scheduler"):
            container = pod_specs()[process]["containers"][0]
            for probe in (container["startupProbe"], container["livenessProbe"]):
                assert probe["httpGet"] == {"path": "/metrics", "port": "metrics"}
            startup = container["startupProbe"]
            # They wait a minute for their database before they open it.
            assert startup["periodSeconds"] * startup["failureThreshold"] > DATABASE_WAIT_SECONDS
            assert container["livenessProbe"]["timeoutSeconds"] >= 5

    def test_pods_that_are_applied_with_the_migration_wait_for_it(self) -> None:
        for process, spec in pod_specs().items():
            waiting = spec.get("initContainers", [])
            assert [container["args"] for container in waiting] == [["migrate", "--wait"]] * (
                process != "migrate"
            )
            # In all else it is like what it waits for.
            for container in waiting:
                for key in ("image", "envFrom", "resources", "securityContext", "volumeMounts"):
                    assert container[key] == spec["containers"][0][key]
        options = {option for parameter in migrate.params for option in parameter.opts}
        assert "--wait" in options

    def test_every_server_that_is_set_may_be_called_and_no_other(self) -> None:
        (settings,) = of_kind("ConfigMap").values()
        fields = Settings.model_fields
        addresses = [urlsplit(data(settings)[name]) for name in ("MINIO_ENDPOINT", "AUTH_SERVICE_URL")]
        needed = {address.port for address in addresses} | {int(data(settings)["DB_PORT"])}
        needed |= {fields[name].default for name in ("RABBITMQ_PORT", "SMTP_PORT", "CLAMAV_PORT")}
        policies = of_kind("NetworkPolicy").values()
        (out,) = [policy["spec"] for policy in policies if "Egress" in policy["spec"]["policyTypes"]]
        (rule,) = out["egress"]
        assert {port["port"] for port in rule["ports"]} == needed | {53, 443, 4318}
        ours = set(out["podSelector"]["matchExpressions"][0]["values"])
        templates = [*of_kind("Deployment").values(), *of_kind("Job").values()]
        assert ours == {found["spec"]["template"]["metadata"]["labels"]["app"] for found in templates}

    def test_nobody_is_root_and_nothing_is_written_but_temporary_files(self) -> None:
        for spec in pod_specs().values():
            (container,) = spec["containers"]
            assert spec["securityContext"]["runAsNonRoot"]
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]  # noqa: S108
            # No claim of a volume: what lasts is in the database and in the store.
            assert [set(volume) for volume in spec["volumes"]] == [{"name", "emptyDir"}]

    def test_selectors_find_their_pods(self) -> None:
        labels = {
            name: found["spec"]["template"]["metadata"]["labels"]
            for name, found in of_kind("Deployment").items()
        }
        for name, found in of_kind("Deployment").items():
            assert found["spec"]["selector"]["matchLabels"] == labels[name]
        (service,) = of_kind("Service").values()
        assert service["spec"]["type"] == "ClusterIP"
        assert service["spec"]["selector"] == labels["sav-service"]
        for name, budget in of_kind("PodDisruptionBudget").items():
            assert budget["spec"]["selector"]["matchLabels"] == labels[name]
        for name, scaler in of_kind("HorizontalPodAutoscaler").items():
            assert scaler["spec"]["scaleTargetRef"]["name"] == name
            assert name in labels

    def test_prometheus_finds_the_port_of_each_process(self) -> None:
        (settings,) = of_kind("ConfigMap").values()
        variables = {
            "http": "APP_PORT",
            "worker": "WORKER_METRICS_PORT",
            "scheduler": "SCHEDULER_METRICS_PORT",
        }
        for found in of_kind("Deployment").values():
            template = found["spec"]["template"]
            (container,) = template["spec"]["containers"]
            port = data(settings)[variables[container["args"][0]]]
            annotations = template["metadata"]["annotations"]
            assert annotations["prometheus.io/scrape"] == "true"
            assert annotations["prometheus.io/port"] == port
            assert [opened["containerPort"] for opened in container["ports"]] == [int(port)]
            # What is not allowed in is refused.
            names = {opened["name"] for opened in container["ports"]}
            assert names <= {
                rule["port"]
                for policy in of_kind("NetworkPolicy").values()
                for ingress in policy["spec"].get("ingress", ())
                for rule in ingress["ports"]
            }

    def test_what_the_pods_refer_to_exists(self) -> None:
        for spec in pod_specs().values():
            sources = [*spec["containers"][0]["envFrom"]]
            assert {source["configMapRef"]["name"] for source in sources if "configMapRef" in source} <= set(
                of_kind("ConfigMap")
            )
            assert {source["secretRef"]["name"] for source in sources if "secretRef" in source} <= set(
                of_kind("Secret")
            )
            assert spec["serviceAccountName"] in of_kind("ServiceAccount")


class TestImage:
    def test_the_dockerfile_is_clean(self) -> None:
        answer = run(TOOLS / "hadolint", ROOT / "Dockerfile")
        assert answer.returncode == 0, answer.stdout

    def test_the_linter_would_say_so(self, tmp_path: Path) -> None:
        careless = tmp_path / "Dockerfile"
        careless.write_text("FROM python\nRUN cd /tmp\n")
        assert run(TOOLS / "hadolint", careless).returncode == 1

    def test_all_that_it_copies_may_be_copied(self) -> None:
        lines = (ROOT / "Dockerfile").read_text().splitlines()
        copied = {
            name
            for line in lines
            if line.startswith("COPY ") and "--from" not in line
            for name in line.split()[1:-1]
        }
        allowed = {
            line.removeprefix("!")
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")
        }
        assert copied == allowed
        assert all((ROOT / name).exists() for name in copied)
