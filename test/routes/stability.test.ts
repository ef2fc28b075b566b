/** Every built-in model that Stability AI serves, with every parameter: upstream-apis.md §3. */
import { testRoutes } from "./support.ts";

testRoutes("stability");
