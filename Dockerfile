# Both bases can be replaced, by a mirror or by images that are approved where you build. The defaults are stages: Dependabot updates
# images in FROM lines, and not in ARGs. Their digests are of indexes, for all architectures.
ARG BUILDER_IMAGE=default-builder
# It must bring CA certificates: the AWS endpoints are reached over TLS.
ARG BASE_IMAGE=default-base

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26@sha256:0f063af2d465d8dcae54cce04278ada488b96f77b42449c8d071e47d016cc65a AS default-builder
FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab AS default-base

FROM --platform=$BUILDPLATFORM ${BUILDER_IMAGE} AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ENV GOMODCACHE=/cache/mod GOCACHE=/cache/build
WORKDIR /src
# No "go mod download" first: it would fetch what only the tests and the sandbox need, many times the size of the rest.
COPY go.mod go.sum ./
COPY cmd cmd
COPY internal internal
RUN --mount=type=cache,target=/cache/mod \
    --mount=type=cache,target=/cache/build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/step ./cmd/step

FROM ${BASE_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="eks-recycle step" \
      org.opencontainers.image.description="Recycles EKS worker nodes without downtime, one step at a time" \
      org.opencontainers.image.source="https://github.com/eks-recycle/eks-recycle" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/step /step
USER 65532:65532
ENTRYPOINT ["/step"]
