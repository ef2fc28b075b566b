/** Every built-in model that fal serves, with every parameter: upstream-apis.md §6.1. */
import { testRoutes } from "./support.ts";

testRoutes("fal");
