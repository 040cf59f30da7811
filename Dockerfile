# Dockerfile -- the images of Headgate: `docker build --target dataplane .` and `docker build --target controlplane .`
#
# Build arguments:
#   BUILD=compile         compile the programs in Debian 12 (the default)
#   BUILD=ready           take build/headgate and build/headgate-controller of the context, which were built on Debian 12;
#                         all else is the same, so that a machine that has just tested a build compiles nothing twice
#   PROGRAMS="headgate"   only this one
#   DEBIAN=IMAGE          another image of Debian 12 to build on; nothing of it but shared libraries is in the result
#
# An image is the program, the shared libraries it names, certificate authorities and two users: no shell, no package
# tools. It runs as 65532:65532 and writes only below /run/headgate and /var/lib/headgate.
ARG DEBIAN=debian:12-slim

# ---- programs, in /out
FROM ${DEBIAN} AS programs
ARG BUILD=compile
ARG PROGRAMS="headgate headgate-controller"
ENV CCACHE_DIR=/ccache DEBIAN_FRONTEND=noninteractive
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/ccache \
  set -eu; \
  case $BUILD in \
    compile) rm -rf build; ./run build $PROGRAMS ;; \
    ready) ;; \
    *) echo "BUILD is 'compile' or 'ready', not '$BUILD'" >&2; exit 1 ;; \
  esac; \
  mkdir /out; for program in $PROGRAMS; do cp "build/$program" /out/; done

# ---- what goes into the images, in /image/PROGRAM
FROM ${DEBIAN} AS files
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends binutils ca-certificates \
  libssl3 zlib1g libcrypt1 libre2-9 libnghttp2-14 libprotobuf32 libprometheus-cpp-core1.0 libgrpc++1.51 libcpp-httplib0.11 libyaml-cpp0.7
COPY --from=programs /out/ /out/
# Each package that a library is of leaves its entry where scanners of images look, and its terms.
RUN set -eu; \
  for program in $(ls /out); do \
    root=/image/$program; \
    mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/usr/lib/ssl" "$root/var/lib/dpkg/status.d" "$root/run/headgate" \
      "$root/var/lib/headgate" "$root/tmp"; \
    strip --strip-debug -o "$root/usr/bin/$program" "/out/$program"; \
    ldd "/out/$program" >/tmp/libraries; \
    if grep 'not found' /tmp/libraries; then echo "$program: libraries that no package of the list above has" >&2; exit 1; fi; \
    for library in $(awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' /tmp/libraries); do \
      cp -L --parents "$library" "$root"; \
      package=$(dpkg-query -S "$(realpath "$library")" "$library" 2>/dev/null | head -n 1 | cut -d: -f1); \
      dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"; \
      if [ -f "/usr/share/doc/$package/copyright" ]; then cp -L --parents "/usr/share/doc/$package/copyright" "$root"; fi; \
    done; \
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; \
    ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"; \
    printf 'root:x:0:0:root:/:/sbin/nologin\nheadgate:x:65532:65532:headgate:/:/sbin/nologin\n' >"$root/etc/passwd"; \
    printf 'root:x:0:\nheadgate:x:65532:\n' >"$root/etc/group"; \
    chown 65532:65532 "$root/run/headgate" "$root/var/lib/headgate"; \
    chmod 1777 "$root/tmp"; \
  done

# ---- images
FROM scratch AS controlplane
COPY --from=files /image/headgate-controller/ /
LABEL org.opencontainers.image.title="headgate-controller" org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.description="Watches a Kubernetes cluster and tells the proxies of Headgate what to serve"
USER 65532:65532
EXPOSE 8443 9443 9901
ENTRYPOINT ["/usr/bin/headgate-controller"]

FROM scratch AS dataplane
COPY --from=files /image/headgate/ /
LABEL org.opencontainers.image.title="headgate" org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.description="Reverse proxy, web server, layer-4 forwarder and DNS server"
USER 65532:65532
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/headgate"]
CMD ["-config", "/etc/headgate/config.json"]
