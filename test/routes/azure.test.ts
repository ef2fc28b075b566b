/** Every built-in model that Azure OpenAI serves, with every parameter: upstream-apis.md §6.3. */
import { testRoutes } from "./support.ts";

testRoutes("azure");
