/** Assets imported with `type: "file"` are the path of the file, also inside a compiled executable. */
declare module "*.woff" {
  const path: string;
  export default path;
}

declare module "*.ttf" {
  const path: string;
  export default path;
}
