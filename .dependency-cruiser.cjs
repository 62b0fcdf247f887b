// The floors of the house: a lower floor never imports a higher one, and adapters never import each other.
const floors = ["domain", "ports", "packaging", "preview", "policies", "engine", "adapters", "http"]
const importsNothingAbove = (floor, index) => ({
  name: `${floor}-imports-nothing-above`,
  severity: "error",
  from: { path: `^src/${floor}/` },
  to: { path: `^src/(${[...floors.slice(index + 1), "testing", "cli"].join("|")})/` }
})

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...floors.map(importsNothingAbove),
    {
      name: "adapters-do-not-know-each-other",
      severity: "error",
      from: { path: "^src/adapters/([^/]+)/" },
      to: { path: "^src/adapters/", pathNot: "^src/adapters/$1/" }
    },
    {
      name: "adapters-do-not-know-the-engine",
      severity: "error",
      from: { path: "^src/adapters/" },
      to: { path: "^src/engine/" }
    },
    {
      name: "domain-ports-policies-engine-need-only-effect",
      comment: "the front door (src/index.ts) must load with nothing but `effect` installed",
      severity: "error",
      from: { path: "^src/(domain|ports|policies|engine|index)" },
      to: { dependencyTypes: ["npm", "npm-peer", "npm-dev", "core"], pathNot: "node_modules/effect/" }
    }
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] }
  }
}
