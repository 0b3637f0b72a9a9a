# Stockflow, built from this tree, in an image with nothing beside it: no shell, no user but its own.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The directory of all that is kept belongs to the user that it runs as.
RUN CGO_ENABLED=0 go build -trimpath -o /out/stockflow . && mkdir /out/data

# This image has no tags with a version, and moves: what it holds is CA certificates, time zones and the names of users, and no program. Who needs the same
# bytes each time asks `docker buildx imagetools inspect gcr.io/distroless/static-debian12:nonroot` and appends the digest, @sha256:...
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/stockflow /stockflow
COPY --from=build --chown=nonroot:nonroot /out/data /data
ENV STOCKFLOW_HTTP=0.0.0.0:8080 STOCKFLOW_DATA=/data STOCKFLOW_LOG_JSON=true
VOLUME /data
EXPOSE 8080
USER nonroot
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["/stockflow", "health"]
# A stop is given time to finish what is under way.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/stockflow"]
CMD ["serve"]
