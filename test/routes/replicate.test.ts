/** Every built-in model that Replicate serves, with every parameter: upstream-apis.md §4. */
import { testRoutes } from "./support.ts";

testRoutes("replicate");
