/** Every built-in model that OpenAI serves, with every parameter: upstream-apis.md §2. */
import { testRoutes } from "./support.ts";

testRoutes("openai");
