# Serves a bundle, and no more: no PyTorch, no compiler, nobody's root. It has not been built where this was written.
#
#   docker build -t kinestream .
#   docker run --rm -v "$PWD/runs/hapt/bundle:/bundle:ro" -p 127.0.0.1:5570:5570 -p 127.0.0.1:5571:5571 kinestream
#
# Without keys, whoever reaches the ports may send samples and read labels: publish them to no more of a network than
# should. With a folder of keys (docs/security.md), add "-v FOLDER:/keys" and, behind the image's name, "/bundle --keys /keys";
# the streamer's own files in it must belong to the container's user. HEALTHCHECK then needs a client's that may --watch: name
# its file by "-e KINESTREAM_KEYS=/keys/NAME.secret".
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY . /src
RUN python -m venv /opt/kinestream \
    && /opt/kinestream/bin/pip install --no-cache-dir --constraint /src/constraints.txt /src \
    && /opt/kinestream/bin/python -c "import kinestream.model.engine.kernel._kernel" \
    && /opt/kinestream/bin/pip uninstall --yes pip

FROM python:3.13-slim
COPY --from=build /opt/kinestream /opt/kinestream
RUN useradd --system --no-create-home kinestream
USER kinestream
EXPOSE 5570 5571
# Ready, or not: what stops is not ready, nor is what has not loaded its bundle yet.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD /opt/kinestream/bin/kinestream health --timeout 2 || exit 1
# What runs containers starts it again should it die.
ENTRYPOINT ["/opt/kinestream/bin/kinestream", "serve", "--no-restart", "--ingest", "tcp://*:5570", "--labels", "tcp://*:5571", "--insecure"]
CMD ["/bundle"]
