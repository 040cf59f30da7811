"""The images that the Dockerfile makes: small, nothing to break in with, and serving in the strictest Pod."""
import gzip
import io
import json
import tarfile

import pytest

import kubernetes
from kubernetes import PATIENCE, apply, curl, get, kubectl, wait_for_rollout, wait_until

ARCHIVES = sorted(kubernetes.IMAGES.glob("*.tar"))
MIB = 1 << 20


@pytest.fixture(params=ARCHIVES, ids=[path.stem for path in ARCHIVES])
def image(request):
    """(configuration, members, bytes of its layers) of an image archive."""
    with tarfile.open(request.param) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        config = json.load(archive.extractfile(manifest["Config"]))
        layers = [archive.extractfile(name).read() for name in manifest["Layers"]]
    members = [member for layer in layers for member in tarfile.open(fileobj=io.BytesIO(layer))]
    return config["config"], members, b"".join(layers)


@pytest.mark.skipif(not ARCHIVES, reason="no archives: the images are those of KUBECONFIG's cluster")
def test_it_is_small_and_holds_nothing_to_break_in_with(image):
    config, members, layers = image
    compressed = len(gzip.compress(layers, 6))
    print(f"{config['Entrypoint']}: {len(layers) / MIB:.1f} MiB, {compressed / MIB:.1f} MiB compressed")
    assert len(layers) <= 60 * MIB and compressed <= 25 * MIB
    assert config["User"] == "65532:65532" and config["Entrypoint"][0].startswith("/usr/bin/headgate")
    files = [m for m in members if m.isfile()]
    programs = [m.name for m in files if m.mode & 0o111 and ".so" not in m.name]
    assert programs == [config["Entrypoint"][0].lstrip("/")], "one program, no shell"
    assert not [m.name for m in members if m.mode & 0o6000], "no setuid or setgid"
    theirs = {m.name for m in members if m.uid != 0}
    assert theirs == {"run/headgate", "var/lib/headgate"}, "the user owns nothing but its two folders"
    assert any(m.name == "etc/ssl/certs/ca-certificates.crt" for m in files)


def test_it_serves_a_file_and_reloads_when_the_config_map_changes(namespace):
    """Headgate without a controller: a ConfigMap, restricted Pod Security, read-only root, probes."""
    def config(body):
        text = json.dumps({"listen": [{"name": "web", "uri": "http://:8080"}],
                           "dispatch": [{"listener": "web", "handler": "respond", "status": 200, "body": body}]})
        return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: site}}
data: {{config.json: {json.dumps(text)}}}
"""
    apply(config("first"), namespace)
    apply(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: site}}
spec:
  selector: {{matchLabels: {{app: site}}}}
  template:
    metadata: {{labels: {{app: site}}}}
    spec:{kubernetes.RESTRICTED}
      containers:
      - name: headgate
        image: {kubernetes.HEADGATE_IMAGE}
        imagePullPolicy: IfNotPresent
        args: [-config, /etc/headgate/config.json, -admin, "unix:///run/headgate/headgate.sock"]
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
        volumeMounts: [{{name: site, mountPath: /etc/headgate}}, {{name: run, mountPath: /run/headgate}}]
      volumes: [{{name: site, configMap: {{name: site}}}}, {{name: run, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: site}}
spec: {{selector: {{app: site}}, ports: [{{port: 80, targetPort: 8080}}]}}
""", namespace)
    wait_for_rollout("deployment/site", namespace)
    address = get("service", "site", "-n", namespace)["spec"]["clusterIP"]
    assert wait_until("an answer", lambda: curl(f"http://{address}/")).body == "first"
    apply(config("second"), namespace)
    wait_until("the new configuration", lambda: curl(f"http://{address}/").body == "second", PATIENCE)
    pod = get("pods", "-n", namespace, "-l", "app=site")[0]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    shell = kubectl("exec", "-n", namespace, pod["metadata"]["name"], "--", "/bin/sh", "-c", "true", check=False)
    assert shell.returncode != 0
