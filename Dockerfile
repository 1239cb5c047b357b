# A static binary, the certificates of public CAs for outgoing TLS, and nothing
# else: no shell, no package manager, not root.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/certportal ./cmd/certportal \
 && install -d -m 0700 /out/data

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
