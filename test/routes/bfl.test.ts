/** Every built-in model that Black Forest Labs serves, with every parameter: upstream-apis.md §5. */
import { testRoutes } from "./support.ts";

testRoutes("bfl");
