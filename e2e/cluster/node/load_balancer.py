#!/usr/bin/env python3
"""Gives every Service of type LoadBalancer an address, as a cloud would; kube-proxy does the forwarding.

usage: load_balancer.py API_SERVER CA_FILE PREFIX      (PREFIX like 198.19.200)
"""
import itertools
import json
import ssl
import sys
import time
import urllib.request

SERVER, CA, PREFIX = sys.argv[1:4]
TLS = ssl.create_default_context(cafile=CA)
ADDRESSES = itertools.cycle(f"{PREFIX}.{n}" for n in range(1, 255))  # one that was just freed is not given out at once


def call(path, method="GET", body=None, **headers):
    request = urllib.request.Request(SERVER + path, method=method, data=body and json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer admin-token", **headers})
    return urllib.request.urlopen(request, context=TLS)


def addresses_of(service):
    return [i.get("ip") for i in service.get("status", {}).get("loadBalancer", {}).get("ingress", [])]


def assign(service, taken):
    meta = service["metadata"]
    wanted = service["spec"].get("loadBalancerIP")
    address = wanted or next(a for a in ADDRESSES if a not in taken)
    path = f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}/status"
    status = {"status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}}
    call(path, "PATCH", status, **{"Content-Type": "application/merge-patch+json"}).close()
    print(f"{meta['namespace']}/{meta['name']}: {address}", flush=True)


def serve():
    """One list, then its changes until the server ends the watch."""
    with call("/api/v1/services") as answer:
        listed = json.load(answer)
    services = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in listed["items"]}
    version = listed["metadata"]["resourceVersion"]
    with call(f"/api/v1/services?watch=1&resourceVersion={version}&timeoutSeconds=300") as watch:
        events = ({"type": "ADDED", "object": s} for s in list(services.values()))
        for event in itertools.chain(events, map(json.loads, watch)):
            service = event["object"]
            if event["type"] == "ERROR":
                return
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            if event["type"] == "DELETED":
                services.pop(key, None)
                continue
            services[key] = service
            spec = service["spec"]
            if spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not addresses_of(service):
                assign(service, {a for s in services.values() for a in addresses_of(s)})


while True:
    try:
        serve()
    except OSError as error:  # the API server starts, restarts, or changed the Service meanwhile
        print(error, file=sys.stderr, flush=True)
        time.sleep(0.5)
