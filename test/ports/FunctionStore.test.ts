import { Layer } from "effect"
import { FunctionStore } from "../../src/ports/FunctionStore.ts"
import { memoryFunctionStore } from "../support/memoryFunctionStore.ts"
import { functionStoreContract } from "./functionStoreContract.ts"

functionStoreContract("in memory, for tests", Layer.sync(FunctionStore, () => memoryFunctionStore().store))
