import { describe, expect, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as fc from "fast-check"
import type { CodeOptions } from "../../src/domain/LambdaFunction.ts"
import {
  existing,
  existingTarget,
  files,
  inline,
  parseName,
  parseReference,
  parseRole,
  settings,
  zip
} from "../../src/domain/LambdaFunction.ts"
import { shown } from "../../src/domain/Time.ts"
import { inputsOf } from "../support/badInputs.ts"
import { accepted, reasonOf, refused } from "../support/verdicts.ts"

const region = "eu-north-1"
const arn = `arn:aws:lambda:${region}:123456789012:function:payroll`

/** Settings of a function with one option set, which may be of any type. */
const withOption = (options: { readonly [Key in keyof CodeOptions]?: unknown }) =>
  settings(inline("hello", "", options as CodeOptions))

describe("parseName", () => {
  for (const { id, input, reason } of inputsOf("name")) {
    it(`${id}: ${shown(input)} is ${reason ?? "accepted"}`, () => {
      expect(reasonOf(parseName(input, "name"))).toBe(reason)
      expect(reasonOf(settings(inline(input as string, "")))).toBe(reason)
      expect(reasonOf(parseReference(input, "function"))).toBe(reason)
    })
  }

  it("accepts exactly 1 to 64 of [a-zA-Z0-9-_], and answers it unchanged", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 70 }), (name) => {
        const legal = name.length >= 1 && name.length <= 64 && [...name].every((unit) => /[a-zA-Z0-9_-]/.test(unit))
        expect(reasonOf(parseName(name, "name")) === null).toBe(legal)
      }),
      { numRuns: 2_000 }
    )
    fc.assert(fc.property(fc.stringMatching(/^[a-zA-Z0-9_-]{1,64}$/), (name) => {
      expect(accepted(parseName(name, "name"))).toBe(name)
    }))
  })

  it("refuses a newline at the end", () => {
    expect(reasonOf(parseName("hello\n", "name"))).toBe("NamePattern")
  })

  it("does not repeat a long name, nor put control characters into its message", () => {
    expect(refused(parseName("a".repeat(1_000_000), "name")).message.length).toBeLessThan(250)
    expect(refused(parseName("a\r\nX-Injected: 1", "name")).message).not.toMatch(/[\r\n]/)
  })
})

describe("parseReference", () => {
  it("takes names, qualified names, partial and full ARNs apart", () => {
    const none = { arn: undefined, qualifier: undefined, region: undefined }
    expect(accepted(parseReference("payroll", "function"))).toEqual({ ...none, name: "payroll" })
    expect(accepted(parseReference("payroll:live", "function")))
      .toEqual({ ...none, name: "payroll", qualifier: "live" })
    expect(accepted(parseReference("payroll:$LATEST", "function")))
      .toEqual({ ...none, name: "payroll", qualifier: "$LATEST" })
    expect(accepted(parseReference("123456789012:function:payroll", "function")))
      .toEqual({ ...none, name: "payroll", arn: "123456789012:function:payroll" })
    expect(accepted(parseReference("123456789012:function:payroll:7", "function")))
      .toEqual({ ...none, name: "payroll", arn: "123456789012:function:payroll", qualifier: "7" })
    expect(accepted(parseReference(arn, "function"))).toEqual({ name: "payroll", arn, qualifier: undefined, region })
    expect(accepted(parseReference(`${arn}:live`, "function")))
      .toEqual({ name: "payroll", arn, qualifier: "live", region })
    for (const other of ["arn:aws-cn:lambda:cn-north-1", "arn:aws-us-gov:lambda:us-gov-west-1"]) {
      expect(accepted(parseReference(`${other}:123456789012:function:payroll`, "function")).name).toBe("payroll")
    }
  })

  for (const { id, input, reason } of inputsOf("arn")) {
    it(`${id}: ${shown(input)} is ${reason ?? "accepted"}`, () => {
      expect(reasonOf(existingTarget(existing(input as string), region))).toBe(reason)
    })
  }

  it("refuses ARNs that only look right", () => {
    const bad: ReadonlyArray<readonly [string, string]> = [
      [`${arn}:`, "ArnPattern"],
      [`${arn}:live:extra`, "ArnPattern"],
      [`${arn}\n`, "ArnPattern"],
      [`${arn}/../x`, "ArnPattern"],
      [`arn:aws:lambda::123456789012:function:payroll`, "ArnPattern"],
      [`arn:aws:lambda:eu-north-1:1234567890123:function:payroll`, "ArnPattern"],
      [`arn:aws:lambda:eu-north-1:123456789012:layer:payroll`, "ArnPattern"],
      [`arn:aws:lambda:eu-north-1:123456789012:function:`, "ArnPattern"],
      [`arn:aws:lambda`, "ArnPattern"],
      ["arn:", "ArnService"],
      ["arn:aws:sqs:eu-north-1:123456789012:queue", "ArnService"],
      [`arn:aws:lambda:eu-north-1:123456789012:function:${"a".repeat(65)}`, "NameTooLong"],
      [`${"a".repeat(65)}:live`, "NameTooLong"],
      [":live", "ArnPattern"],
      ["payroll:", "ArnPattern"],
      ["payroll:li ve", "NamePattern"],
      ["12345:function:payroll", "ArnPattern"]
    ]
    for (const [reference, reason] of bad) {
      expect([reference, reasonOf(parseReference(reference, "function"))]).toEqual([reference, reason])
    }
  })

  it("takes 256 characters as the longest reference", () => {
    const filled = (length: number) => `payroll:${"v".repeat(length - "payroll:".length)}`
    expect(reasonOf(parseReference(filled(257), "function"))).toBe("NameTooLong")
  })
})

describe("existingTarget", () => {
  it("is what an invocation needs; the longest timeout there is unless the caller knows better", () => {
    expect(accepted(existingTarget(existing("payroll"), region)))
      .toEqual({ name: "payroll", arn: undefined, qualifier: undefined, timeout: 900_000 })
    expect(accepted(existingTarget(existing(arn, { qualifier: "live", timeout: "3 seconds" }), region)))
      .toEqual({ name: "payroll", arn, qualifier: "live", timeout: 3_000 })
  })

  it("an explicit qualifier wins over the reference's", () => {
    expect(accepted(existingTarget(existing("payroll:one", { qualifier: "two" }), region)).qualifier).toBe("two")
    expect(accepted(existingTarget(existing("payroll:one"), region)).qualifier).toBe("one")
  })

  it("refuses an ARN of another region, never naming the same function here; a client without regions takes any", () => {
    const elsewhere = existing("arn:aws:lambda:us-east-1:123456789012:function:payroll")
    const error = refused(existingTarget(elsewhere, region))
    expect(error.reason).toBe("ArnRegionMismatch")
    expect(error.message).toContain(region)
    expect(accepted(existingTarget(elsewhere, undefined)).name).toBe("payroll")
  })

  it("refuses qualifiers that are none", () => {
    for (const qualifier of ["", "a b", "a/b", "$latest", "a".repeat(129), "v\n"]) {
      expect(reasonOf(existingTarget(existing("payroll", { qualifier }), region))).toBe("NamePattern")
    }
  })

  for (const { id, input, reason } of inputsOf("timeout")) {
    it(`${id}: timeout ${shown(input)} is ${reason ?? "accepted"}`, () => {
      expect(reasonOf(existingTarget(existing("payroll", { timeout: input as number }), region))).toBe(reason)
      expect(reasonOf(withOption({ timeout: input }))).toBe(reason)
    })
  }
})

describe("settings", () => {
  it("completes what was not said", () => {
    expect(accepted(settings(inline("hello", "source")))).toEqual({
      name: "hello",
      runtime: "nodejs24.x",
      handler: "index.handler",
      role: undefined,
      memory: 128,
      timeout: 3_000,
      architecture: "x86_64",
      environment: {},
      tags: {},
      description: undefined
    })
    expect(accepted(settings(zip("hello", "UEsFBg=="))).name).toBe("hello")
    expect(accepted(settings(files("hello", {}))).name).toBe("hello")
  })

  it("takes timeouts of 1 to 900 seconds, in whole seconds rounded up", () => {
    expect(accepted(withOption({ timeout: "1 second" })).timeout).toBe(1_000)
    expect(accepted(withOption({ timeout: 1_001 })).timeout).toBe(2_000)
    expect(accepted(withOption({ timeout: "15 minutes" })).timeout).toBe(900_000)
    for (const timeout of [0, 999, 900_001, -1, Number.NaN, Infinity, "forever", null, {}]) {
      expect([timeout, reasonOf(withOption({ timeout }))]).toEqual([timeout, "TimeoutInvalid"])
    }
  })

  it("takes 128 to 10,240 whole megabytes", () => {
    for (const memory of [128, 129, 10_240]) expect(reasonOf(withOption({ memory }))).toBeNull()
    for (const memory of [127, 10_241, 128.5, Number.NaN, "256", {}]) {
      expect([memory, reasonOf(withOption({ memory }))]).toEqual([memory, "MemoryInvalid"])
    }
  })

  it("takes the runtimes and architectures it knows", () => {
    for (const runtime of ["nodejs20.x", "nodejs22.x", "nodejs24.x"]) {
      expect(reasonOf(withOption({ runtime }))).toBeNull()
    }
    for (const runtime of ["nodejs18.x", "python3.13", "", "__proto__", "constructor", 24]) {
      expect([runtime, reasonOf(withOption({ runtime }))]).toEqual([runtime, "RuntimeUnsupported"])
    }
    expect(reasonOf(withOption({ architecture: "arm64" }))).toBeNull()
    expect(reasonOf(withOption({ architecture: "riscv" }))).toBe("Unsupported")
  })

  for (const { id, input, reason } of inputsOf("handler")) {
    it(`${id}: handler ${shown(input)} is ${reason ?? "accepted"}`, () => {
      expect(reasonOf(withOption({ handler: input }))).toBe(reason)
    })
  }

  it("takes handlers within the code, and none that leave it or reach a prototype", () => {
    for (const handler of ["index.handler", "src/app.run", "a-b_c.$x", "dist/src/index.default"]) {
      expect([handler, accepted(withOption({ handler })).handler]).toEqual([handler, handler])
    }
    const bad = [
      "",
      ".handler",
      "index.",
      "/index.handler",
      "../index.handler",
      "a/../b.handler",
      "a/./b.handler",
      "a/..handler",
      "index.constructor",
      "index.prototype",
      "index.a-b",
      "index.1a",
      "in dex.handler",
      "index.handler\n",
      "index\u0000.handler",
      "C:\\x.handler",
      `${"a".repeat(128)}.handler`,
      5
    ]
    for (const handler of bad) {
      expect([handler, reasonOf(withOption({ handler }))]).toEqual([handler, "HandlerInvalid"])
    }
  })

  for (const { id, input, reason } of inputsOf("env")) {
    it(`${id}: environment ${shown(JSON.stringify(input))} is ${reason ?? "accepted"}`, () => {
      const verdict = withOption({ environment: input })
      expect(reasonOf(verdict)).toBe(reason)
      if (reason === null) expect(accepted(verdict).environment).toEqual(input)
    })
  }

  it("reserves what would reach into the process that runs the code", () => {
    const names = ["NODE_ENV", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"]
    for (const name of [...names, "LAMBDA_TASK_ROOT", "npm_config_prefix", "HOME", "TZ"]) {
      expect([name, reasonOf(withOption({ environment: { [name]: "x" } }))]).toEqual([name, "EnvReserved"])
    }
    for (const name of ["PATHS", "MY_PATH", "HOMEPAGE", "NODES", "constructor"]) {
      expect([name, reasonOf(withOption({ environment: { [name]: "x" } }))]).toEqual([name, null])
    }
  })

  it("takes 4,096 bytes of environment in all, in bytes of UTF-8, redacted values counted too", () => {
    expect(reasonOf(withOption({ environment: { AB: "x".repeat(4_094) } }))).toBeNull()
    expect(reasonOf(withOption({ environment: { AB: "é".repeat(2_048) } }))).toBe("EnvInvalid")
    expect(reasonOf(withOption({ environment: { AB: Redacted.make("x".repeat(4_095)) } }))).toBe("EnvInvalid")
    expect(reasonOf(withOption({ environment: { AB: "x".repeat(2_048), CD: "x".repeat(2_048) } }))).toBe("EnvInvalid")
  })

  it("never repeats an environment's value", () => {
    const canary = "canary-7351"
    for (const value of [`${canary}\u0000`, Redacted.make(`${canary}\u0000`), canary.repeat(1_000)]) {
      expect(refused(withOption({ environment: { SECRET: value } })).message).not.toContain(canary)
    }
  })

  it("refuses environment values that are not text", () => {
    for (const value of [5, true, null, {}, ["a"], undefined, Redacted.make(5)]) {
      expect([value, reasonOf(withOption({ environment: { AB: value } }))]).toEqual([value, "EnvInvalid"])
    }
  })

  for (const { id, input, reason } of inputsOf("role")) {
    it(`${id}: role ${shown(input)} is ${reason ?? "accepted"}`, () => {
      expect(reasonOf(withOption({ role: input }))).toBe(reason)
      expect(reasonOf(parseRole(input))).toBe(reason)
    })
  }

  it("takes the ARNs of roles, with a path too", () => {
    for (
      const role of ["arn:aws:iam::123456789012:role/lambda", "arn:aws-cn:iam::123456789012:role/a/b+c=d,e.f@g-h_1"]
    ) {
      expect(accepted(parseRole(role))).toBe(role)
    }
    for (const role of ["arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/x\n", undefined, 5]) {
      expect(reasonOf(parseRole(role))).toBe("RoleInvalid")
    }
  })

  it("takes 49 tags, and none that poses as AWS's", () => {
    const tags = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]))
    expect(reasonOf(withOption({ tags: tags(49) }))).toBeNull()
    expect(reasonOf(withOption({ tags: tags(50) }))).toBe("TagsInvalid")
    const bad = [{ "aws:x": "v" }, { "AWS:x": "v" }, { "": "v" }, { k: "v".repeat(257) }, { ["k".repeat(129)]: "v" }, {
      k: 5
    }]
    for (const each of bad) expect([each, reasonOf(withOption({ tags: each }))]).toEqual([each, "TagsInvalid"])
    expect(reasonOf(withOption({ tags: Object.fromEntries([["__proto__", "v"], ["constructor", ""]]) }))).toBeNull()
  })
})
