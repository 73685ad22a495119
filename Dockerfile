# Every base is an exact version, but a tag can be moved. For a release pin the digest as well, read from the registry:
#   docker buildx imagetools inspect node:24.21.0-trixie-slim --format '{{.Manifest.Digest}}'
#   FROM node:24.21.0-trixie-slim@sha256:...
#
# Trixie for its iptables 1.8.11 and nft 1.1.3: older ones cannot read what newer ones made, and kube-proxy brings new
# ones. Rules are read back and compared as text; the tests pass with these and with 1.8.9 and 1.0.6 of bookworm.

# The bundle is the same for every architecture, so it is made on the one that builds.
FROM --platform=$BUILDPLATFORM node:24.21.0-trixie-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# No install scripts: the bundle needs none, and the npm package `node` would fetch a second Node.js.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY scripts/bundle.ts scripts/
COPY agent agent
RUN node scripts/bundle.ts

FROM node:24.21.0-trixie-slim
# Cutting connections and looking for BPF programs take perl, which is part of every Debian (perl-base).
# iputils-ping is for probes that rulesets name.
# iptables brings both backends, nft and legacy, for both families; nftables has `nft monitor`; util-linux has nsenter.
# npm, yarn and corepack go: a privileged container has no use for package managers.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends conntrack iproute2 ipset iptables iputils-ping nftables util-linux \
  && rm -rf /var/lib/apt/lists/* /opt/yarn-* /usr/local/lib/node_modules \
    /usr/local/bin/corepack /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/yarn /usr/local/bin/yarnpkg
COPY LICENSE /usr/share/doc/node-firewall/LICENSE
COPY --from=build /src/dist/ /usr/local/lib/node-firewall/
# So that `kubectl exec ... -- node-firewall verify` works.
RUN printf '#!/bin/sh\nexec node /usr/local/lib/node-firewall/node-firewall.js "$@"\n' > /usr/local/bin/node-firewall \
  && chmod 755 /usr/local/bin/node-firewall

# Memory on every node counts for more than speed in an agent that mostly sleeps. A heap that is collected early, and
# no optimizing compiler, whose pages and output stay resident: `npm run bench memory` measures with these flags.
# The heap must hold rulesets of 1 MiB, the most a ConfigMap can bring: with 96 MB that ends the process.
# The first two are in the environment, so that they hold for `kubectl exec` too; Node.js takes the others from the
# command line only.
ENV NODE_OPTIONS="--max-old-space-size=192 --max-semi-space-size=1"
# glibc would keep what a list of 100,000 networks took, and raise these limits by itself after the first one.
ENV MALLOC_MMAP_THRESHOLD_="131072"
ENV MALLOC_TRIM_THRESHOLD_="131072"

ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="node-firewall" \
  org.opencontainers.image.description="The host firewall of Kubernetes nodes: rules from a ConfigMap, verified in the kernel" \
  org.opencontainers.image.source="https://github.com/node-firewall/node-firewall" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"

# Root, because netfilter is; the root file system may be read-only, nothing writes to it. No HEALTHCHECK: Kubernetes
# ignores it and has probes.
ENTRYPOINT ["node", "--max-opt=2", "--optimize-for-size", "/usr/local/lib/node-firewall/node-firewall.js"]
