# The executor as an image. docker/README.md explains the arguments.
ARG BASE_IMAGE=debian:13-slim

FROM ${BASE_IMAGE} AS build
ARG NPM_CONFIG_REGISTRY=https://registry.npmjs.org/
# The newest major that runs on the Node of Debian 12 and 13.
ARG NPM_VERSION=10.9.4
COPY docker/certificates/ /usr/local/share/ca-certificates/
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl g++ make nodejs python3 \
 && rm -rf /var/lib/apt/lists/*
# npm looks at its own list of authorities only, and not at the system's.
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    NPM_CONFIG_REGISTRY=${NPM_CONFIG_REGISTRY} \
    NPM_CONFIG_AUDIT=false \
    NPM_CONFIG_FUND=false \
    NPM_CONFIG_UPDATE_NOTIFIER=false
# Not the npm of Debian: it is 400 packages, and its node-gyp links what it builds to a library that the image does not have.
RUN mkdir /opt/npm \
 && curl -fsSL "${NPM_CONFIG_REGISTRY%/}/npm/-/npm-${NPM_VERSION}.tgz" | tar -xz -C /opt/npm --strip-components=1 \
 && ln -s /opt/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /opt/exec-server
COPY package.json package-lock.json binding.gyp ./
COPY native native
# The lock file names the Node that runs everything; its package has the headers that the native part is built with.
RUN npm_config_nodedir="$PWD/node_modules/node/node_modules/node-linux-$(node -p process.arch)" npm ci \
 && install -m 755 node_modules/node/bin/node /usr/local/bin/node
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${BASE_IMAGE}
# tini is the init: it reaps what the processes orphan, and passes signals on. bubblewrap works where docker/seccomp.json lets it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap libstdc++6 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --shell /bin/bash executor
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/exec-server/package.json /opt/exec-server/package.json
COPY --from=build /opt/exec-server/node_modules /opt/exec-server/node_modules
COPY --from=build /opt/exec-server/build/Release/exec_server_native.node /opt/exec-server/build/Release/exec_server_confine /opt/exec-server/build/Release/exec-server-reaper /opt/exec-server/build/Release/
COPY --from=build /opt/exec-server/dist /opt/exec-server/dist
COPY LICENSE /opt/exec-server/LICENSE
RUN ln -s /opt/exec-server/dist/main.js /usr/local/bin/exec-server && chmod +x /opt/exec-server/dist/main.js
USER executor
WORKDIR /home/executor
ENTRYPOINT ["tini", "-g", "--", "node", "/opt/exec-server/dist/main.js"]
# One client on standard input and output: no port is open unless somebody asks for one.
CMD ["serve", "--listen", "stdio"]
