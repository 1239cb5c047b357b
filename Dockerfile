# A static binary, the certificates of public CAs for outgoing TLS, and nothing
# else: no shell, no package manager, not root.
#
# "docker build --target pkcs11" makes the image for keys in hardware instead: a module of
# PKCS#11 is a shared library, so that it needs a C library. Add the module of your HSM
# (docs/hsm.md).
FROM golang:1.26-bookworm AS source
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN install -d -m 0700 /out/data
ARG VERSION=container

FROM source AS build
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/certportal ./cmd/certportal

FROM source AS build-pkcs11
RUN CGO_ENABLED=1 go build -trimpath -tags pkcs11 -ldflags "-s -w -X main.version=${VERSION}" -o /out/certportal ./cmd/certportal

FROM debian:bookworm-slim AS pkcs11
COPY --from=build-pkcs11 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-pkcs11 /out/certportal /certportal
COPY --from=build-pkcs11 --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CERTPORTAL_DATA=/data
VOLUME /data
EXPOSE 8443 8444 8080
ENTRYPOINT ["/certportal"]
CMD ["serve"]

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/certportal /certportal
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CERTPORTAL_DATA=/data
VOLUME /data
EXPOSE 8443 8444 8080
ENTRYPOINT ["/certportal"]
CMD ["serve"]
