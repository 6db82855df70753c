# syntax=docker/dockerfile:1
# failoverd and failoverctl, the libraries they need, authorities, a user: nothing else, no shell.
#
#   docker buildx build --tag REPOSITORY:0.1.0 --provenance=mode=max --sbom=true .
#
# Crates are those of Cargo.lock, and no path of the build's is in the programs. The SBOM that buildx attaches covers this
# image, the stage that built it and the sources with Cargo.lock; `cargo cyclonedx --format json` makes one of crates alone.
# For a build to repeat bit for bit, name the first image by its digest, as tags move.
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true

FROM rust:1.95-slim-bookworm AS build
ARG BUILDKIT_SBOM_SCAN_STAGE=true
ENV CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_STRIP=symbols SOURCE_DATE_EPOCH=0
WORKDIR /src
COPY . .
RUN RUSTFLAGS="--remap-path-prefix=/src=src --remap-path-prefix=$CARGO_HOME=cargo" cargo build --release --locked --bins \
    && tools/rootfs /image target/release/failoverd target/release/failoverctl

FROM scratch
LABEL org.opencontainers.image.title=failoverd org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /image /
ENV PATH=/usr/bin
USER 65532:65532
# gRPC, Route 53's checkers, probes.
EXPOSE 7443 8080 9090
ENTRYPOINT ["/usr/bin/failoverd"]
