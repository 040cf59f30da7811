"""A certificate authority for tests, made with the openssl program."""
import pathlib
import ssl
import subprocess


def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=20, **options).stdout


class Authority:
    def __init__(self, directory, name="Test Root"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.directory / "ca.pem", self.directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out", self.cert)

    def issue(self, stem, *names, days=10, client=False):
        """(certificate, key) files for these names; a name that looks like an address becomes one."""
        cert, key, request = (self.directory / f"{stem}{ending}" for ending in (".pem", ".key", ".csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={names[0]}",
                "-keyout", key, "-out", request)
        entries = ",".join(("IP:" if name.replace(".", "").isdigit() else "DNS:") + name for name in names)
        extensions = self.directory / f"{stem}.ext"
        usage = "clientAuth" if client else "serverAuth"
        extensions.write_text(f"subjectAltName={entries}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", cert)
        return cert, key

    def client(self, *, cert=None, minimum=None, maximum=None, alpn=None):
        """An SSLContext that trusts this authority only."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if cert:
            context.load_cert_chain(*map(str, cert))
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server(self, stem, *names, require=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, self.issue(stem, *names)))
        if require:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(str(require))
        return context


def subject_of(sock):
    """CN of the server's certificate on a connected TLS socket."""
    return dict(pair for part in sock.getpeercert()["subject"] for pair in part)["commonName"]
