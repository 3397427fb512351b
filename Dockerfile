# Serves a bundle, and no more: no PyTorch, no compiler, nobody's root. It has not been built where this was written.
#
#   docker build -t kinestream .
#   docker run --rm -v "$PWD/runs/hapt/bundle:/bundle:ro" -p 127.0.0.1:5570:5570 -p 127.0.0.1:5571:5571 kinestream
#
# Whoever reaches the ports may send samples and read labels: publish them to no more of a network than should.
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
# What runs containers starts it again should it die.
ENTRYPOINT ["/opt/kinestream/bin/kinestream", "serve", "--no-restart", "--ingest", "tcp://*:5570", "--labels", "tcp://*:5571"]
CMD ["/bundle"]
