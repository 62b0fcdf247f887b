import effect from "@effect/eslint-plugin"
import tseslint from "typescript-eslint"

export default tseslint.config(
  { ignores: ["dist/**", "node_modules/**"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { "@effect": effect },
    rules: {
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          operatorPosition: "maintain",
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          "arrowFunction.useParentheses": "force"
        }
      }],
      "@typescript-eslint/array-type": ["error", { default: "generic" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/no-non-null-assertion": "error",
      // Type parameters of both variances have no other top type.
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-empty-object-type": ["error", { allowInterfaces: "with-single-extends" }],
      "@typescript-eslint/require-await": "off"
    }
  },
  {
    // A scripted function's payload is whatever JSON its test sends.
    files: ["test/**/*.ts", "examples/**/*.ts", "bench/**/*.ts"],
    rules: { "@typescript-eslint/no-unsafe-member-access": "off" }
  },
  {
    // The library takes clock, chance, console and environment from Effect only.
    files: ["src/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", "setTimeout", "setInterval", "setImmediate", "console"],
      "no-restricted-syntax": [
        "error",
        { selector: "MemberExpression[object.name='Date'][property.name='now']", message: "Take the time from Clock." },
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: "Take the time from Clock." },
        { selector: "MemberExpression[object.name='Math'][property.name='random']", message: "Take chance from Random." },
        { selector: "MemberExpression[object.name='performance'][property.name='now']", message: "Take the time from Clock." }
      ]
    }
  }
)
