# Plain enough for any builder: docker build, buildah bud, podman build, kaniko.
FROM docker.io/library/node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
# Once devDependencies are gone, npm keeps what the peer dependencies name, at the locked versions.
RUN npm run build && npm pkg delete devDependencies && npm prune --ignore-scripts

FROM docker.io/library/node:24-slim
ENV NODE_ENV=production \
    LAMBDA=aws \
    HOST=0.0.0.0 \
    PORT=8080
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# The user that the base image brings; by number, so that a cluster can tell that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# No npm in between: signals reach the server itself.
CMD ["node", "dist/http/main.js"]
