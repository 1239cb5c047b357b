# Two images, for any processor that Go and the base images know:
#
#   docker build .                     static: the program, the certificates of public CAs for
#                                      outgoing TLS, licences, and nothing else: no shell, no package
#                                      manager, not root
#   docker build --target pkcs11 .     for keys in hardware: a module of PKCS#11 is a shared
#                                      library, so that it needs a C library. Add the module
#                                      of your HSM (docs/hsm.md)
#
# Both run with a read-only root; /data alone is written to.

# The static program is compiled by the machine that builds, for the processor asked for.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN install -d -m 0700 /out/data
ARG VERSION=container
ARG TARGETARCH
RUN CGO_ENABLED=0 GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/certportal ./cmd/certportal
RUN GOARCH=${TARGETARCH} scripts/licenses >/out/copyright

# With C it is compiled on the processor that it is for.
FROM golang:1.26-bookworm AS build-pkcs11
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN install -d -m 0700 /out/data
ARG VERSION=container
RUN CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags pkcs11 -ldflags "-s -w -X main.version=${VERSION}" -o /out/certportal ./cmd/certportal
RUN CGO_ENABLED=1 scripts/licenses -tags pkcs11 >/out/copyright

FROM debian:bookworm-slim AS pkcs11
COPY --from=build-pkcs11 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-pkcs11 /out/certportal /certportal
COPY --from=build-pkcs11 /out/copyright /usr/share/doc/certportal/copyright
COPY --from=build-pkcs11 --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CERTPORTAL_DATA=/data
VOLUME /data
EXPOSE 8443 8444 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/certportal", "health"]
ENTRYPOINT ["/certportal"]
CMD ["serve"]

FROM scratch AS static
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/certportal /certportal
COPY --from=build /out/copyright /usr/share/doc/certportal/copyright
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CERTPORTAL_DATA=/data
VOLUME /data
EXPOSE 8443 8444 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/certportal", "health"]
ENTRYPOINT ["/certportal"]
CMD ["serve"]
